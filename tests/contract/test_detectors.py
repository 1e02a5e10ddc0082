"""What every registered detector must do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.detect import FaceDetector
from mien.detect.registry import DETECTORS, build_detector
from mien.types import Face, RgbImage

# The face of the portrait, by eye: left, top, right, bottom.
FACE = (170, 60, 275, 200)


@pytest.fixture(scope="module", params=[*DETECTORS, "yunet with a file"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    if request.param in DETECTORS:
        return build_detector(request.param)
    folder: Path = request.getfixturevalue("shared")
    return build_detector("yunet", folder / "models" / "yunet_n_640_640.onnx")


def image(pixels: NDArray[np.uint8]) -> RgbImage:
    return RgbImage(np.ascontiguousarray(pixels))


def assert_sound(faces: tuple[Face, ...], width: int, height: int) -> None:
    areas = [face.box.area for face in faces]
    assert areas == sorted(areas, reverse=True)
    for face in faces:
        assert 0 <= face.box.left < face.box.right <= width
        assert 0 <= face.box.top < face.box.bottom <= height
        assert 0 <= face.score <= 1


def overlap(face: Face, left: float, top: float, right: float, bottom: float) -> float:
    box = face.box
    width = min(box.right, right) - max(box.left, left)
    height = min(box.bottom, bottom) - max(box.top, top)
    common = max(0.0, width) * max(0.0, height)
    return common / (box.area + (right - left) * (bottom - top) - common)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_no_face(detector: FaceDetector, value: int) -> None:
    assert detector.detect(image(np.full((240, 320, 3), value, dtype=np.uint8))) == ()


def test_one_face_is_located(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector.detect(image(astronaut))
    assert_sound((face,), 512, 512)
    assert overlap(face, *FACE) > 0.6
    assert face.landmarks is not None
    points = face.landmarks.to_array()
    assert (points[:, 0] > face.box.left).all()
    assert (points[:, 0] < face.box.right).all()
    assert points[0, 0] < points[1, 0], "the left eye is the left one in the picture"
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min(), "eyes, nose, mouth"


def test_fifty_faces(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    tile = astronaut[20:240, 130:320]
    crowd = np.tile(tile, (5, 10, 1))
    faces = detector.detect(image(crowd))
    assert_sound(faces, crowd.shape[1], crowd.shape[0])
    assert len(faces) == 50


@pytest.mark.parametrize("cut", ["left", "top", "right", "bottom"])
def test_a_face_cut_by_the_edge_stays_inside(
    detector: FaceDetector, astronaut: NDArray[np.uint8], cut: str
) -> None:
    left, top, right, bottom = FACE
    window = {
        "left": astronaut[:, left + 20 :],
        "top": astronaut[top + 25 :],
        "right": astronaut[:, : right - 20],
        "bottom": astronaut[: bottom - 25],
    }[cut]
    faces = detector.detect(image(window))
    assert len(faces) >= 1
    assert_sound(faces, window.shape[1], window.shape[0])


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (1, 500),
        (500, 1),
        (12, 12),
        (19, 19),
        (20, 20),
        (5, 2000),
        (33, 21),
        (1, 60_000),
        (60_000, 1),
    ],
)
def test_any_image_size_works(detector: FaceDetector, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert_sound(detector.detect(image(noise)), shape[1], shape[0])


def test_a_large_image(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    large = np.asarray(Image.fromarray(astronaut).resize((2400, 2400), Image.Resampling.BICUBIC))
    faces = detector.detect(image(large), min_face_size=200)
    assert_sound(faces, 2400, 2400)
    scale = 2400 / 512
    assert overlap(faces[0], *(edge * scale for edge in FACE)) > 0.6


@pytest.mark.parametrize("side", [1100, 2600])
def test_a_small_min_face_size_still_finds_a_large_face(
    detector: FaceDetector, astronaut: NDArray[np.uint8], side: int
) -> None:
    close_up = Image.fromarray(astronaut).crop((150, 30, 300, 220))
    pixels = np.asarray(close_up.resize((side, side * 190 // 150), Image.Resampling.BICUBIC))
    faces = detector.detect(image(pixels), min_face_size=40)
    assert_sound(faces, pixels.shape[1], pixels.shape[0])
    scale = side / 150
    left, top, right, bottom = FACE
    place = (left - 150, top - 30, right - 150, bottom - 30)
    assert overlap(faces[0], *(edge * scale for edge in place)) > 0.6


def test_a_very_large_image(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    pixels = np.full((4000, 6000, 3), 90, dtype=np.uint8)
    portrait = Image.fromarray(astronaut).resize((1500, 1500), Image.Resampling.BICUBIC)
    pixels[2300:3800, 4300:5800] = np.asarray(portrait)
    faces = detector.detect(image(pixels))
    assert_sound(faces, 6000, 4000)
    scale = 1500 / 512
    left, top, right, bottom = (edge * scale for edge in FACE)
    assert overlap(faces[0], left + 4300, top + 2300, right + 4300, bottom + 2300) > 0.6


def test_min_face_size_is_respected(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    assert detector.detect(image(astronaut), min_face_size=300) == ()
    assert len(detector.detect(image(astronaut), min_face_size=60)) == 1


def test_min_score_is_respected(detector: FaceDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector.detect(image(astronaut))
    assert detector.detect(image(astronaut), min_score=face.score) == (face,)
    if face.score < 1:
        above = float(np.nextafter(np.float32(face.score), np.float32(1)))
        assert detector.detect(image(astronaut), min_score=above) == ()
    many = detector.detect(image(astronaut), min_score=0.0)
    assert_sound(many, 512, 512)
    assert face in many


def test_eight_threads_give_the_same_faces(
    detector: FaceDetector, astronaut: NDArray[np.uint8]
) -> None:
    pictures = [image(astronaut[: 512 - 8 * i]) for i in range(4)] * 4
    # A search of another kind in between must not disturb the memory that threads keep.
    sizes = [None, None, 40, None] * 4
    alone = [detector.detect(p, min_face_size=s) for p, s in zip(pictures, sizes, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda p, s: detector.detect(p, min_face_size=s), pictures, sizes))
    assert together == alone


def test_results_are_deterministic_and_ordered(
    detector: FaceDetector, astronaut: NDArray[np.uint8]
) -> None:
    # Equal faces: only their place can order them.
    crowd = image(np.tile(astronaut[20:240, 130:320], (2, 3, 1)))
    faces = [detector.detect(crowd) for _ in range(3)]
    assert faces[0] == faces[1] == faces[2]
    assert len(faces[0]) == 6
