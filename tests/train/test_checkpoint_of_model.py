"""A model in integers, made a checkpoint again."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.classify.onnx import load_classifier
from mien_train.checkpoint import read_checkpoint
from mien_train.models import Classifier

ROOT = Path(__file__).parents[2]
PACKAGED = ROOT / "src" / "mien" / "artifacts" / "emotion-lite0" / "model.onnx"


def convert(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    tool = runpy.run_path(str(ROOT / "tools" / "checkpoint_of_model.py"))
    monkeypatch.setattr(sys, "argv", ["tool", str(PACKAGED), *words])
    code: int = tool["main"]()
    return code


def test_checkpoint_gives_the_predictions_of_the_model(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "start.pt"
    assert convert(monkeypatch, "--data", str(fer_folder), "--out", str(out)) == 0
    network = Classifier("efficientnet-lite0").eval()
    network.load_state_dict(read_checkpoint(out)["average"])
    crops = torch.rand(8, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    larger = torch.nn.functional.interpolate(crops, size=(96, 96), mode="bilinear")
    with torch.no_grad():
        ours = [head.softmax(dim=1).numpy() for head in network(larger)]
    theirs = [
        np.exp(head) / np.exp(head).sum(axis=1, keepdims=True)
        for head in load_classifier(PACKAGED).outputs(crops.numpy())
    ]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=0.1)


def test_another_size_is_refused(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "start.pt"
    with pytest.raises(SystemExit, match="not this backbone or size"):
        convert(monkeypatch, "--size", "40", "--data", str(fer_folder), "--out", str(out))
    assert not out.exists()
