"""MTCNN: a cascade of three small networks over an image pyramid."""

from collections.abc import Sequence

import numpy as np

from mien.artifacts import Card, load_card
from mien.detect.detections import Detections
from mien.detect.mtcnn.cascade import Cascade
from mien.detect.mtcnn.search import Search, exact_search, usual_search
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import Box, Face, RgbImage

__all__ = ["MtcnnDetector"]


class MtcnnDetector:
    """Finds faces with the weights in the wheel; safe to share between threads.

    With ``min_face_size`` it searches exactly as facenet-pytorch 2.6.0 does, scores of at least
    0.9; without, as ``usual_search`` chooses for the picture's size, which is faster.
    threads, providers: as for OrtSession.
    Raises ArtifactError if a model file is missing or was altered.
    """

    def __init__(self, *, threads: int = 1, providers: Sequence[Provider] = CPU) -> None:
        self.card = load_card("mtcnn")
        self._cascade = _load(self.card, threads, providers)

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, largest box first, inside the picture."""
        faces = self.detections(image, min_face_size=min_face_size).faces(image)
        return tuple(face for face in faces if face.score >= (min_score or 0))

    def follow(self, image: RgbImage, near: Sequence[Box]) -> tuple[Face, ...]:
        """Return the faces around the given boxes, largest first: the last two stages alone."""
        boxes = np.array(
            [(box.left, box.top, box.right, box.bottom) for box in near], dtype=np.float32
        ).reshape(-1, 4)
        search = self.search(image, None)
        return self._cascade.follow(image, boxes, search).faces(image)

    def detections(self, image: RgbImage, *, min_face_size: int | None = None) -> Detections:
        """Return boxes as the cascade gives them, unclipped."""
        return self._cascade.detect(image, self.search(image, min_face_size))

    def search(self, image: RgbImage, min_face_size: int | None) -> Search:
        """Return how closely a picture is searched."""
        if min_face_size is None:
            return usual_search(image.height, image.width)
        return exact_search(min_face_size)


def _load(card: Card, threads: int, providers: Sequence[Provider]) -> Cascade:
    pnet, rnet, onet = (
        OrtSession(card.read(file), threads=threads, dynamic_shapes=True, providers=providers)
        for file in ("pnet.onnx", "rnet.onnx", "onet.onnx")
    )
    return Cascade(pnet, rnet, onet)
