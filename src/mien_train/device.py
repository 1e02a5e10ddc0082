"""Choice of the training device; determinism and memory settings."""

import os

import torch
from torch import Tensor

from mien.memory import MMAP_MAX, TOP_PAD, TRIM_THRESHOLD, mallopt
from mien_train.errors import TrainingError

__all__ = [
    "choose_device",
    "keep_freed_memory",
    "random_state",
    "repeat_exactly",
    "set_random_state",
]

MOST, SPARE = 2**31 - 1, 256 * 2**20


def choose_device(name: str) -> torch.device:
    """Return the device ``cpu``, ``cuda`` or ``mps``; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises TrainingError if this machine, or this build of torch, does not have it.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, is_there in there.items() if is_there)
    if not there[name]:
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise TrainingError(f"no {name} device available to torch; available: {found}")
    return torch.device(name)


def repeat_exactly(device: torch.device) -> None:
    """Restrict torch to deterministic algorithms.

    The CPU's are deterministic already, given the same number of threads. Source: torch's notes on
    reproducibility, also for the workspace of cuBLAS.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def keep_freed_memory() -> None:
    """Let this process keep all freed memory for reuse.

    By default, memory of large tensors is returned to the system and later mapped and zeroed again,
    page by page. That takes up to a third of a training step on the CPU.
    """
    mallopt({MMAP_MAX: 0, TRIM_THRESHOLD: MOST, TOP_PAD: SPARE})


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's global random numbers, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_state(device: torch.device, states: dict[str, Tensor]) -> None:
    """Restore ``random_state``; a device without a saved state keeps its own."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
