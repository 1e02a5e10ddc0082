"""Record the outputs of every stage of facenet-pytorch's MTCNN in tests/golden/mtcnn_stages.npz.

    python -m venv .venv-reference && .venv-reference/bin/pip install facenet-pytorch==2.6.0
    .venv-reference/bin/python tools/record_mtcnn_stages.py

facenet-pytorch runs unchanged; wrappers record the inputs and outputs of its functions. The image
is a part of examples/astronaut.jpg (public domain) and is stored with them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.utils import detect_face as reference
from PIL import Image

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "tests" / "golden" / "mtcnn_stages.npz"
AREA = (130, 20, 330, 220)
MIN_FACE_SIZE = 24
# The levels whose pixels and maps are stored completely.
LEVELS = (0, 2, 4)


def recorded(function: Callable[..., Any], into: list[Any]) -> Callable[..., Any]:
    """Wrap a function so that its first argument and its result are recorded."""

    def wrapper(*arguments: Any) -> Any:
        result = function(*arguments)
        into.append((arguments[0], result))
        return result

    return wrapper


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float32)


def main() -> None:
    pixels = np.asarray(Image.open(ROOT / "examples" / "astronaut.jpg").convert("RGB").crop(AREA))
    mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_SIZE, device="cpu")
    calls: dict[str, list[Any]] = {
        "pnet": [],
        "rnet": [],
        "onet": [],
        "rerec": [],
        "nms": [],
        "cells": [],
    }
    reference.rerec = recorded(reference.rerec, calls["rerec"])
    reference.generateBoundingBox = recorded(reference.generateBoundingBox, calls["cells"])
    reference.batched_nms = recorded(reference.batched_nms, calls["nms"])
    networks = {n: recorded(getattr(mtcnn, n), calls[n]) for n in ("pnet", "rnet", "onet")}
    # detect_face reads the data type of P-Net's parameters.
    pnet = torch.nn.Module()
    pnet.register_parameter("any", next(mtcnn.pnet.parameters()))
    pnet.forward = networks["pnet"]
    with torch.no_grad():
        boxes, points = reference.detect_face(
            pixels, MIN_FACE_SIZE, pnet, networks["rnet"], networks["onet"],
            mtcnn.thresholds, mtcnn.factor, torch.device("cpu"),
        )  # fmt: skip
    stages = {"pixels": pixels, "min_face_size": MIN_FACE_SIZE, "levels": LEVELS}
    kept_in_levels = [
        cells[0][kept] for (_, cells), (_, kept) in zip(calls["cells"], calls["nms"], strict=False)
    ]
    stages["kept_in_levels"] = array(torch.cat(kept_in_levels))
    for level in LEVELS:
        given, (correction, shares) = calls["pnet"][level]
        stages[f"level_{level}"] = array(given)[0]
        stages[f"maps_{level}"] = np.concatenate([array(shares)[0, 1:], array(correction)[0]])
        stages[f"kept_{level}"] = array(kept_in_levels[level])
    # The suppressions within the levels come first, then the one across levels, then R-Net's.
    for name, (candidates, kept) in zip(
        ("kept_across", "kept_of_rnet"), calls["nms"][len(calls["pnet"]) :], strict=True
    ):
        stages[name] = array(candidates[kept])
    for name, call in zip(("proposed", "refined"), calls["rerec"], strict=True):
        stages[name] = array(call[1])[:, :4]
    for name in ("rnet", "onet"):
        ((given, outputs),) = calls[name]
        stages[f"{name}_first"] = array(given[:1])
        stages[name] = np.concatenate([array(outputs[-1])[:, 1:], *map(array, outputs[:-1])], 1)
    stages["boxes"], stages["points"] = (np.array(v[0], np.float32) for v in (boxes, points))
    np.savez_compressed(TARGET, **stages)
    print(f"{TARGET}: {TARGET.stat().st_size / 1e3:.0f} kB, {len(stages['boxes'])} faces")


if __name__ == "__main__":
    main()
