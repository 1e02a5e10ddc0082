"""A quantized model becomes a checkpoint that predicts nearly the same."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tools import checkpoint_of_model

import mien
from mien.classify.onnx import load_classifier, log_softmax
from mien.image import load_image
from mien_train.export import export

MODEL = Path(mien.__file__).parent / "artifacts" / "emotion-mobilenet" / "model.onnx"
PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def test_the_packaged_model(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "start.pt"
    options = ["--data", str(fer_folder), "--out", str(start)]
    monkeypatch.setattr(sys, "argv", ["", str(MODEL), *options])
    assert checkpoint_of_model.main() == 0
    # A face, its mirror image and parts of it, with different emotions.
    photo = load_image(PHOTO, max_pixels=10**6).picture.convert("L")
    places = [(180, 70, 270, 160), (180, 110, 270, 200), (200, 60, 260, 120), (0, 0, 300, 300)]
    faces = [np.asarray(photo.crop(place).resize((48, 48))) for place in places]
    faces += [face[:, ::-1] for face in faces]
    crops = np.stack(faces)[:, np.newaxis].astype(np.float32) / 255
    before, after = (
        log_softmax(load_classifier(path).outputs(crops)[0])
        for path in (MODEL, export(start, tmp_path / "exported"))
    )
    assert len(set(before.argmax(axis=1))) > 1
    assert np.abs(after - before).max() < 0.2


def test_another_backbone_is_refused(
    fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--backbone", "efficientnet-lite0", "--data", str(fer_folder), "--out", "x.pt"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["", str(MODEL), *options])
    with pytest.raises(SystemExit, match="not a quantized efficientnet-lite0"):
        checkpoint_of_model.main()
    assert not list(tmp_path.iterdir())
