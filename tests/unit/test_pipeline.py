from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.classify.labels import LabelSet
from mien.pipeline import Options, Pipeline
from mien.types import Box, Emotion, Face, Landmarks, RgbImage

LABELS = tuple(Emotion)


class Detector:
    """Finds the given faces and notes what it was asked."""

    def __init__(self, faces: tuple[Face, ...]) -> None:
        self.faces = faces
        self.asked: list[int | None] = []

    def detect(self, image: RgbImage, *, min_face_size: int | None = None) -> tuple[Face, ...]:
        self.asked.append(min_face_size)
        return self.faces


class Classifier:
    """Calls the n-th face the n-th emotion, with a third of the weight on contempt."""

    labels = LABELS
    crop_size_px = 8

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros((len(crops), len(LABELS)), dtype=np.float32)
        rows[np.arange(len(crops)), np.arange(len(crops)) % 6] = 2 / 3
        rows[:, -1] = 1 / 3
        return rows


IMAGE = RgbImage(np.zeros((90, 160, 3), dtype=np.uint8))


def face(left: float, side: float) -> Face:
    box = Box(left=left, top=0, right=left + side, bottom=side)
    return Face(box=box, score=0.95)


def test_no_face_is_an_empty_result() -> None:
    result = Pipeline(Detector(()), Classifier()).analyze(IMAGE)
    assert result.faces == ()
    assert (result.width, result.height) == (160, 90)
    assert result.error is None


def test_each_face_keeps_its_own_emotion() -> None:
    faces = (face(0, 40), face(50, 30), face(90, 20))
    result = Pipeline(Detector(faces), Classifier()).analyze(IMAGE)
    assert [f.box for f in result.faces] == [f.box for f in faces]
    assert [f.emotion for f in result.faces] == list(LABELS[:3])
    assert all(f.detection == 0.95 for f in result.faces)


@pytest.mark.parametrize(("labels", "confidence"), [("six", 1.0), ("seven", 1.0), ("eight", 2 / 3)])
def test_confidence_is_among_the_chosen_labels(labels: str, confidence: float) -> None:
    options = Options(labels=LabelSet(labels))
    found = Pipeline(Detector((face(0, 40),)), Classifier()).analyze(IMAGE, options).faces[0]
    assert found.confidence == pytest.approx(confidence)
    assert sum(found.scores.values()) == pytest.approx(1)
    assert tuple(found.scores) == LabelSet(labels).emotions


def test_max_faces_keeps_the_first() -> None:
    faces = (face(0, 40), face(50, 30))
    result = Pipeline(Detector(faces), Classifier()).analyze(IMAGE, Options(max_faces=1))
    assert [f.box for f in result.faces] == [faces[0].box]


@pytest.mark.parametrize(
    ("default", "asked", "used"), [(None, None, None), (40, None, 40), (40, 25, 25)]
)
def test_the_smallest_face_of_the_caller_wins(
    default: int | None, asked: int | None, used: int | None
) -> None:
    detector = Detector(())
    Pipeline(detector, Classifier(), min_face_size=default).analyze(
        IMAGE, Options(min_face_size=asked)
    )
    assert detector.asked == [used]


def test_a_crop_is_one_face_without_detection() -> None:
    detector = Detector((face(0, 40), face(50, 30)))
    result = Pipeline(detector, Classifier()).analyze(IMAGE, Options(crop=True))
    assert detector.asked == []
    (found,) = result.faces
    assert found.box.to_pixels(160, 90) == (0, 0, 160, 90)
    assert found.detection is None
    assert result.seconds.detect == 0


def test_faces_of_a_reduced_picture_are_where_they_are_in_the_stored_one() -> None:
    points = Landmarks((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
    found = replace(face(10, 40), landmarks=points)
    image = RgbImage(IMAGE.pixels, stored_size=(319, 180))
    result = Pipeline(Detector((found,)), Classifier()).analyze(image)
    assert (result.width, result.height) == (319, 180)
    assert result.faces[0].box == Box(left=10 * 319 / 160, top=0, right=50 * 319 / 160, bottom=80)
    assert result.faces[0].landmarks == points.scaled(319 / 160, 2)
    assert points.scaled(2, 3).nose == (10, 18)


@pytest.mark.parametrize(
    ("options", "own", "enough"),
    [
        (Options(), None, True),
        (Options(min_face_size=20), None, False),
        (Options(crop=True), None, False),
        (Options(), 20, False),
    ],
)
def test_every_pixel_is_wanted_where_the_search_is_exact(
    options: Options, own: int | None, enough: bool
) -> None:
    pipeline = Pipeline(Detector(()), Classifier(), min_face_size=own)
    assert (pipeline.enough_pixels(options) is not None) == enough
