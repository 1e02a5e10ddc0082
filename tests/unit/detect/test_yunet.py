"""YuNet's decoding, on outputs made by hand; the real file is run by the contract tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from benchmarks.synthetic import many_faces
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mien.artifacts import load_card
from mien.detect import yunet
from mien.detect.detections import faces_of
from mien.detect.levels import TILE_OVERLAP_PX, TILE_PX, first_level_factor, smaller_levels
from mien.detect.yunet import COLUMNS, OUTPUTS, STRIDES, YunetDetector
from mien.errors import ArtifactError, ModelContractError
from mien.image.decode import decode_image
from mien.runtime.ort import TensorSpec
from mien.types import RgbImage

POINTS = [(-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)]
# Pixels from the left and the top edge.
SECOND_TILE = TILE_PX - TILE_OVERLAP_PX


def no_faces(height: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Return YuNet's outputs by name for an input without faces."""
    return {
        f"{kind}_{stride}": np.zeros((1, height * width // stride**2, columns), np.float32)
        for kind, columns in COLUMNS.items()
        for stride in STRIDES
    }


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
        named = no_faces(height, width)
        if planes.any():
            row, column = 4, 6
            cell = row * (width // 16) + column
            named["cls_16"][0, cell] = 0.81
            named["obj_16"][0, cell] = 1.3
            named["bbox_16"][0, cell] = [0.25, 0.5, np.log(40 / 16), np.log(60 / 16)]
            named["kps_16"][0, cell] = np.array(POINTS).ravel() + np.tile([0.25, 0.5], 5)
            # Its neighbor says nearly the same with a lower score.
            named["cls_16"][0, cell + 1] = named["obj_16"][0, cell + 1] = 0.8
            named["bbox_16"][0, cell + 1] = [-0.7, 0.5, np.log(40 / 16), np.log(60 / 16)]
            named["kps_16"][0, cell + 1] = np.array(POINTS).ravel() + np.tile([-0.7, 0.5], 5)
        return [named[name] for name in OUTPUTS]


class Verifier:
    """Takes every box for a face, or for none."""

    def __init__(self) -> None:
        self.logit = 9.0
        self.received: list[int] = []

    def logits(self, image: RgbImage, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        self.received.append(len(boxes))
        return np.full(len(boxes), self.logit, dtype=np.float32)


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Verifier:
    made = Verifier()
    monkeypatch.setattr(yunet, "FaceVerifier", lambda **_: made)
    return made


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, verifier: Verifier) -> Session:
    made = Session()
    monkeypatch.setattr(yunet, "OrtSession", lambda *_, **__: made)
    return made


def white(width: int, height: int) -> RgbImage:
    return RgbImage(np.full((height, width, 3), (255, 100, 0), dtype=np.uint8))


def test_cells_become_faces(session: Session) -> None:
    (face,) = YunetDetector().detect(white(200, 150))
    box = face.box
    # Its neighbor, 0.8 pixels to the right, has a say by the square of its score.
    shift = 0.8 * 0.8**2 / (0.8**2 + 0.9**2)
    expected_box = (80 + shift, 42, 120 + shift, 102)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(expected_box)
    assert 0.9 < face.score < 1
    assert face.landmarks is not None
    expected = np.array([100 + shift, 72]) + 16 * np.array(POINTS)
    np.testing.assert_allclose(face.landmarks.to_array(), expected, atol=1e-3)


def test_input_is_bgr_and_padded(session: Session) -> None:
    YunetDetector().detect(white(200, 150))
    planes = session.seen[-1]
    assert planes.shape == (1, 3, 160, 224)
    assert planes[0, :, 149, 199].tolist() == [0, 100, 255]
    assert not planes[:, :, 150:].any()
    assert not planes[:, :, :, 200:].any()


def test_faces_of_a_reduced_image_are_in_source_pixels(session: Session) -> None:
    (face,) = YunetDetector().detect(white(600, 450), min_face_size=96)
    assert session.seen[-1].shape == (1, 3, 160, 224)
    assert (face.box.left, face.box.bottom) == pytest.approx((241, 306), abs=0.1)


@pytest.mark.parametrize(("min_face_size", "faces"), [(30, 1), (59, 1), (61, 0)])
def test_smaller_faces_are_dropped(session: Session, min_face_size: int, faces: int) -> None:
    rows = YunetDetector().detections(white(200, 150))
    assert len(faces_of(rows, white(200, 150), min_face_size)) == faces


@pytest.mark.parametrize("min_face_size", [83, 80, 70, 60, 40])
def test_faces_of_the_smallest_size_are_found(min_face_size: int) -> None:
    image = decode_image(many_faces(640, 480, 5, 1), max_pixels=640 * 480)
    faces = YunetDetector().detect(image, min_face_size=min_face_size)
    assert [face.box.height > min_face_size for face in faces] == [True] * 5


@pytest.mark.parametrize(("logit", "faces"), [(9.0, 1), (-9.0, 0)])
def test_onet_verifies_uncertain_faces(
    session: Session,
    verifier: Verifier,
    monkeypatch: pytest.MonkeyPatch,
    logit: float,
    faces: int,
) -> None:
    monkeypatch.setattr(yunet, "SURE", 0.95)
    monkeypatch.setattr(yunet, "YUNET", 0.5)
    verifier.logit = logit
    assert len(YunetDetector().detect(white(200, 150))) == faces
    assert verifier.received == [1]


def test_onet_skips_sure_faces(session: Session, verifier: Verifier) -> None:
    assert len(YunetDetector().detect(white(200, 150))) == 1
    assert verifier.received == [0]


class SquareSession(Session):
    """Sees one white square, wherever it is, and what is left of it; large ones score low."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        (planes,) = feeds.values()
        self.seen.append(planes)
        height, width = planes.shape[2:]
        named = no_faces(height, width)
        ys, xs = (np.flatnonzero(planes[0, 0].max(axis=axis) > 127) for axis in (1, 0))
        if len(xs):
            center = np.array([xs[0] + xs[-1] + 1, ys[0] + ys[-1] + 1]) / 2 / 8
            cell = center.astype(int)
            at = cell[1] * (width // 8) + cell[0]
            # What a tile cuts off is less like a face.
            cut = max(xs[-1] - planes.shape[3], ys[-1] - planes.shape[2]) == -1
            score = 0.3 if max(len(xs), len(ys)) > 600 else 0.85 if cut else 0.9
            named["cls_8"][0, at] = named["obj_8"][0, at] = score
            named["bbox_8"][0, at] = [*(center - cell), np.log(len(xs) / 8), np.log(len(ys) / 8)]
            named["kps_8"][0, at] = np.tile(center - cell, 5)
        return [named[name] for name in OUTPUTS]


def with_square(width: int, height: int, left: int, top: int, side: int) -> RgbImage:
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[top : top + side, left : left + side] = 255
    return RgbImage(pixels)


@pytest.fixture
def squares(
    monkeypatch: pytest.MonkeyPatch, verifier: Verifier
) -> tuple[YunetDetector, SquareSession]:
    made = SquareSession()
    monkeypatch.setattr(yunet, "OrtSession", lambda *_, **__: made)
    return YunetDetector(), made


@pytest.mark.parametrize(
    ("left", "top", "side"),
    [
        (0, 0, 300),  # in the first corner
        (SECOND_TILE + 2, 100, TILE_OVERLAP_PX - 4),  # over the middle of what two tiles share
        (SECOND_TILE, SECOND_TILE + 36, 300),  # from where the second tile begins
        (TILE_PX - 298, SECOND_TILE - 14, 300),  # up to just beyond where the first one ends
        (2600, 2200, 290),  # in the last corner
    ],
)
def test_tiles_give_each_face_once_and_complete(
    squares: tuple[YunetDetector, SquareSession], left: int, top: int, side: int
) -> None:
    detector, session = squares
    (face,) = detector.detect(with_square(3000, 2500, left, top, side), min_face_size=20)
    box = face.box
    # Boxes of a tile that cuts little off, and of the next level, have a say.
    assert (box.left, box.top) == pytest.approx((left, top), abs=0.02 * side)
    assert (box.width, box.height) == pytest.approx((side, side), abs=0.02 * side)
    assert face.landmarks is not None
    middle = (left + side / 2, top + side / 2)
    np.testing.assert_allclose(face.landmarks.to_array(), [middle] * 5, atol=0.02 * side)
    assert max(max(planes.shape) for planes in session.seen) <= TILE_PX


@pytest.mark.parametrize("side", [17, 60, 190, 380, 384, 385, 390, 470, 500, 1000, 1800, 2400])
def test_faces_of_all_sizes_are_found_with_a_small_min_face_size(
    squares: tuple[YunetDetector, SquareSession], side: int
) -> None:
    detector, _ = squares
    (face,) = detector.detect(with_square(3000, 2500, 520, 60, side), min_face_size=16)
    # To a pixel of the level that it was found at.
    assert face.box.height == pytest.approx(side, rel=0.1, abs=1)


@pytest.mark.parametrize(
    ("width", "height", "smallest", "sizes"),
    [
        (1, 1, None, []),
        (40, 8, None, []),
        (384, 300, None, []),
        (640, 480, None, [(240, 320)]),
        (1024, 1536, None, [(768, 512), (384, 256)]),
        (1920, 1080, None, [(270, 480), (135, 240)]),
        (1920, 1080, 20, [(540, 960), (270, 480), (135, 240)]),
        (1920, 1080, 100, [(180, 320)]),
        (1920, 1080, 160, []),
        (4000, 3000, None, [(750, 1000), (375, 500), (188, 250)]),
        (60_000, 1, None, []),
    ],
)
def test_levels_continue_until_the_largest_face_is_found(
    width: int, height: int, smallest: int | None, sizes: list[tuple[int, int]]
) -> None:
    image = RgbImage(np.zeros((height, width, 3), dtype=np.uint8))
    levels = smaller_levels(image, first_level_factor(image, smallest))
    assert [(level.height, level.width) for level, _ in levels] == sizes


def model_file(path: Path, names: tuple[str, ...], kind: int = TensorProto.FLOAT) -> Path:
    """A graph that only passes its input on, under these names."""
    given = helper.make_tensor_value_info("input", kind, [1, 3, 64, 64])
    made = [helper.make_tensor_value_info(n, kind, [1, 3, 64, 64]) for n in names]
    nodes = [helper.make_node("Identity", ["input"], [name]) for name in names]
    graph = helper.make_graph(nodes, "g", [given], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a model at all")
    emotion = tmp_path / "emotion.onnx"
    emotion.write_bytes(load_card("emotion-mobilenet").read("model.onnx"))
    for file, kind in (
        (tmp_path / "none.onnx", ArtifactError),
        (tmp_path, ArtifactError),
        (text, ArtifactError),
        (emotion, ModelContractError),
        (model_file(tmp_path / "a.onnx", ("cls_8",)), ModelContractError),
        (model_file(tmp_path / "b.onnx", OUTPUTS), ModelContractError),
        (model_file(tmp_path / "c.onnx", OUTPUTS, TensorProto.UINT8), ModelContractError),
    ):
        with pytest.raises(kind) as raised:
            YunetDetector(file)
        assert str(file) in raised.value.message
        assert "\n" not in raised.value.message
