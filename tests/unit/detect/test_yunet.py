"""YuNet's decoding, on outputs made by hand; the real file is run by the contract tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mien.artifacts import load_card
from mien.detect import yunet
from mien.detect.yunet import COLUMNS, OUTPUTS, STRIDES, YunetDetector
from mien.errors import ArtifactError, ModelContractError
from mien.runtime import TensorSpec
from mien.types import RgbImage

POINTS = [(-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)]


class Session:
    """Answers with one face of 40 x 60 pixels around (100, 72), in cells of 16 pixels."""

    inputs = (TensorSpec("input", (1, 3, None, None)),)
    outputs = tuple(TensorSpec(name, (1, None, None)) for name in OUTPUTS)

    def __init__(self) -> None:
        self.seen: list[NDArray[np.float32]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        (planes,) = feeds.values()
        self.seen.append(planes)
        height, width = planes.shape[2:]
        named = {
            f"{kind}_{stride}": np.zeros((1, height * width // stride**2, columns), np.float32)
            for kind, columns in COLUMNS.items()
            for stride in STRIDES
        }
        if planes.any():
            row, column = 4, 6
            cell = row * (width // 16) + column
            named["cls_16"][0, cell] = 0.81
            named["obj_16"][0, cell] = 1.3
            named["bbox_16"][0, cell] = [0.25, 0.5, np.log(40 / 16), np.log(60 / 16)]
            named["kps_16"][0, cell] = np.array(POINTS).ravel() + np.tile([0.25, 0.5], 5)
            # Its neighbour says nearly the same with a lower score.
            named["cls_16"][0, cell + 1] = named["obj_16"][0, cell + 1] = 0.8
            named["bbox_16"][0, cell + 1] = [-0.7, 0.5, np.log(40 / 16), np.log(60 / 16)]
        return [named[name] for name in OUTPUTS]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setattr(yunet, "OrtSession", lambda *_, **__: made)
    monkeypatch.setattr(yunet, "with_free_size", lambda model: model)
    return made


def white(width: int, height: int) -> RgbImage:
    return RgbImage(np.full((height, width, 3), (255, 100, 0), dtype=np.uint8))


def test_cells_become_faces(session: Session, tmp_path: Path) -> None:
    (file := tmp_path / "y.onnx").write_bytes(b"")
    (face,) = YunetDetector(file).detect(white(200, 150))
    box = face.box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((80, 42, 120, 102))
    assert face.score == pytest.approx(0.9)
    assert face.landmarks is not None
    expected = np.array([100, 72]) + 16 * np.array(POINTS)
    np.testing.assert_allclose(face.landmarks.to_array(), expected, atol=1e-4)


def test_pixels_go_in_blue_first_and_filled_up(session: Session, tmp_path: Path) -> None:
    (file := tmp_path / "y.onnx").write_bytes(b"")
    YunetDetector(file).detect(white(200, 150))
    planes = session.seen[-1]
    assert planes.shape == (1, 3, 160, 224)
    assert planes[0, :, 149, 199].tolist() == [0, 100, 255]
    assert not planes[:, :, 150:].any()
    assert not planes[:, :, :, 200:].any()


def test_a_large_picture_is_reduced_and_its_faces_are_in_it(
    session: Session, tmp_path: Path
) -> None:
    (file := tmp_path / "y.onnx").write_bytes(b"")
    (face,) = YunetDetector(file).detect(white(600, 450), min_face_size=50)
    assert session.seen[-1].shape == (1, 3, 160, 224)
    assert (face.box.left, face.box.bottom) == pytest.approx((240, 306))


def test_smaller_faces_are_dropped(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yunet, "FACE_PX", 100)
    (file := tmp_path / "y.onnx").write_bytes(b"")
    found = [YunetDetector(file).detect(white(200, 150), min_face_size=n) for n in (60, 61)]
    assert [len(faces) for faces in found] == [1, 0]


def model_file(path: Path, names: tuple[str, ...]) -> Path:
    """A graph that only passes its input on, under these names."""
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])
    made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 64, 64]) for n in names]
    nodes = [helper.make_node("Identity", ["input"], [name]) for name in names]
    graph = helper.make_graph(nodes, "g", [given], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_files_that_are_something_else(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model at all")
    emotion = tmp_path / "emotion.onnx"
    emotion.write_bytes(load_card("emotion-lite0").read("model.onnx"))
    for file, kind, words in (
        (tmp_path / "none.onnx", ArtifactError, "can't read"),
        (tmp_path, ArtifactError, "can't read"),
        (text, ArtifactError, "not"),
        (emotion, ModelContractError, "is not YuNet"),
        (model_file(tmp_path / "a.onnx", ("cls_8",)), ModelContractError, "its outputs are cls_8"),
        (model_file(tmp_path / "b.onnx", OUTPUTS), ModelContractError, "cls_8 is"),
    ):
        with pytest.raises(kind, match=words):
            YunetDetector(file)
