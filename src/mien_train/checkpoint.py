"""Checkpoints: written atomically, read without running code from them."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from mien_train.errors import TrainingError

__all__ = ["read_checkpoint", "write_checkpoint"]

# Keys that every reader of a checkpoint needs.
_REQUIRED = {"recipe", "size_px", "average", "step"}


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill never leaves half a file.

    Raises TrainingError if it cannot be written; an existing one is then kept.
    """
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError to torch
        raise TrainingError(f"{path} cannot be written; is the disk full?") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content, tensors on the CPU.

    Raises TrainingError if there is none, or it is from another program.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = "not a checkpoint" if path.is_file() else "no such checkpoint"
        raise TrainingError(f"{path}: {reason}") from error
    if not isinstance(state, dict) or not state.keys() >= _REQUIRED:
        raise TrainingError(f"{path}: not a checkpoint of mien-train")
    return state
