"""Keras files: the import gives equal probabilities, is served, and refuses other files."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mien.classify.onnx import load_classifier
from mien.recognizer import Recognizer
from mien.types import RgbImage
from mien_train import cli
from mien_train.errors import TrainingError
from mien_train.keras_file import read_layers
from mien_train.keras_import import import_keras

FILES = Path(__file__).with_name("keras")


@pytest.mark.parametrize("name", ["chain", "nested"])
def test_predictions_match_keras(name: str, tmp_path: Path) -> None:
    with np.load(FILES / "answers.npz") as stored:
        crops, responses = stored["crops"], stored[name]
    assert np.ptp(responses, axis=0).max() > 1e-3, "the answers depend on the crops"
    classifier = load_classifier(import_keras(FILES / f"{name}.keras", tmp_path / "model"))
    ours = classifier.predict(crops[:, None].astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(ours, responses, rtol=0, atol=1e-4)


def test_the_imported_model_runs_in_mien(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert cli.main(["import", str(FILES / "chain.keras"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "model.onnx")
    recognizer = Recognizer(model=out / "model.onnx", crop=True)
    image = RgbImage(np.full((60, 60, 3), 90, dtype=np.uint8))
    (face,) = recognizer.analyze(image).faces
    assert sum(face.scores.values()) == pytest.approx(1, abs=1e-5)


def changed(
    tmp_path: Path,
    config: Callable[[dict[str, Any]], object] = lambda _: None,
    weights: Callable[[h5py.File], object] = lambda _: None,
) -> Path:
    """The chain with its configuration or its weights changed."""
    with zipfile.ZipFile(FILES / "chain.keras") as archive:
        model = json.loads(archive.read("config.json"))
        stored = io.BytesIO(archive.read("model.weights.h5"))
    config(model)
    with h5py.File(stored, "r+") as file:
        weights(file)
    path = tmp_path / "changed.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", stored.getvalue())
    return path


def layer(model: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in model["config"]["layers"] if each["class_name"] == kind)


def narrower_input(model: dict[str, Any]) -> None:
    layer(model, "InputLayer")["config"]["batch_shape"] = [None, 64, 64, 1]


def one_label_less(model: dict[str, Any]) -> None:
    layer(model, "Dense")["config"]["units"] = 6


def a_lambda(model: dict[str, Any]) -> None:
    layer(model, "Dropout")["class_name"] = "Lambda"


def a_branch(model: dict[str, Any]) -> None:
    layers = model["config"]["layers"]
    layers[3]["inbound_nodes"] = layers[2]["inbound_nodes"]


def another_activation(model: dict[str, Any]) -> None:
    layer(model, "Conv2D")["config"]["activation"] = "gelu"


def channels_first(model: dict[str, Any]) -> None:
    layer(model, "Conv2D")["config"]["data_format"] = "channels_first"


def no_pooling(model: dict[str, Any]) -> None:
    layer(model, "GlobalAveragePooling2D")["class_name"] = "Dropout"


def no_dense(model: dict[str, Any]) -> None:
    del model["config"]["layers"][-1]


def groups(model: dict[str, Any]) -> None:
    layer(model, "Conv2D")["config"]["groups"] = 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (narrower_input, r"expected an input of \[48, 48, 3\], found \[64, 64, 1\]"),
        (one_label_less, r"expected weights of \(\(8, 6\), \(6,\)\), found \(\(8, 7\)"),
        (a_lambda, "is a Lambda; these are known"),
        (a_branch, "only chains"),
        (another_activation, "activation 'gelu'"),
        (channels_first, "expected channels_last"),
        (no_pooling, "expected a pooling or Flatten"),
        (no_dense, "expected 7 outputs, one per label of FER2013, found 8 numbers"),
        (groups, "expected one group"),
        (lambda model: model.pop("config"), "can be read"),
        (lambda model: model["config"].update(layers=7), "can be read"),
    ],
)
def test_other_models_are_refused(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=message):
        import_keras(changed(tmp_path, config=change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


FIRST = "layers/conv2d/vars/0"


def external(file: h5py.File) -> None:
    del file[FIRST]
    file.create_dataset(FIRST, (3, 3, 3, 4), "f4", external=[("/etc/hostname", 0, 432)])


def link(file: h5py.File) -> None:
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink("/etc/hostname", "/x")


def a_group(file: h5py.File) -> None:
    del file[FIRST]
    file.create_group(FIRST)


def missing(file: h5py.File) -> None:
    del file["layers/conv2d"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "not plain data"),
        (link, "can be read"),
        (a_group, "not plain data"),
        (missing, "found \\(\\)"),
    ],
)
def test_other_weights_are_refused(
    change: Callable[[h5py.File], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=message):
        import_keras(changed(tmp_path, weights=change), tmp_path / "out")


def test_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.keras"
    text.write_text("no zip")
    empty = tmp_path / "empty.keras"
    with zipfile.ZipFile(empty, "w"):
        pass
    half = tmp_path / "half.keras"
    half.write_bytes((FILES / "chain.keras").read_bytes()[:40_000])
    for path in (text, empty, half, tmp_path / "none.keras", tmp_path):
        assert cli.main(["import", str(path), "--out", str(tmp_path / "out")]) == 1
        assert "not a .keras file that can be read" in capsys.readouterr().err
    monkeypatch.setattr("mien_train.keras_file.MAX_BYTES", {"config.json": 10})
    with pytest.raises(TrainingError, match="more than any model"):
        read_layers(FILES / "chain.keras")
