"""A quantized model becomes a checkpoint that predicts the same."""

import sys
from pathlib import Path

import pytest
from tools import checkpoint_of_model

import mien
from mien_train.export import export

MODEL = Path(mien.__file__).parent / "artifacts" / "emotion-mobilenet" / "model.onnx"


def test_the_packaged_model(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "start.pt"
    options = ["--data", str(fer_folder), "--out", str(start)]
    monkeypatch.setattr(sys, "argv", ["", str(MODEL), *options])
    # It compares the predictions itself.
    assert checkpoint_of_model.main() == 0
    assert export(start, tmp_path / "exported").exists()


def test_another_backbone_is_refused(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--backbone", "efficientnet-lite0", "--data", str(fer_folder), "--out", "x.pt"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["", str(MODEL), *options])
    with pytest.raises(SystemExit, match="not a quantized efficientnet-lite0"):
        checkpoint_of_model.main()
    assert not list(tmp_path.iterdir())
