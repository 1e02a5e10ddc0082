"""A pipeline without weights behind the service, and what its tests share."""

import numpy as np
from httpx2 import Response
from numpy.typing import NDArray

from mien.config import Settings
from mien.pipeline import Pipeline
from mien.types import Box, Emotion, Face, Landmarks, RgbImage

LABELS = tuple(Emotion)
POINTS = Landmarks((15.0, 20.0), (25.0, 20.0), (20.0, 25.0), (16.0, 30.0), (24.0, 30.0))


class Detector:
    """Finds two faces in any picture that is wide enough, none in others."""

    def detect(self, image: RgbImage, *, min_face_size: int | None = None) -> tuple[Face, ...]:
        faces = (
            Face(box=Box(left=10, top=10, right=40, bottom=50), score=0.99, landmarks=POINTS),
            Face(box=Box(left=60, top=10, right=80, bottom=36), score=0.95, landmarks=POINTS),
        )
        smallest = min_face_size or 0
        return tuple(f for f in faces if f.box.right < image.width and f.box.width >= smallest)


class Classifier:
    """Calls the first face happy and the second sad, with some contempt in both."""

    labels = LABELS
    crop_size_px = 48

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.full((len(crops), len(LABELS)), 0.02, dtype=np.float32)
        rows[np.arange(len(crops)), np.arange(len(crops)) % 2] = 0.7
        rows[:, -1] = 0.18
        return rows


def stub_pipeline(_settings: Settings) -> Pipeline:
    return Pipeline(Detector(), Classifier())


def form(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """A multipart form with these files in the field ``image``."""
    return [("image", ("photo.jpg", data)) for data in images]


def assert_problem(answer: Response, status: int, code: str) -> None:
    """The answer is a complete problem that gives nothing away."""
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "instance"}
    assert answer.json()["status"] == status
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text
