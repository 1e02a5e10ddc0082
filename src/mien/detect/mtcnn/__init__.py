"""MTCNN: a cascade of three small networks over an image pyramid."""

from typing import cast

import numpy as np

from mien.artifacts import Card, load_card
from mien.detect.mtcnn.cascade import Cascade, Detections
from mien.runtime.ort import OrtSession
from mien.types import Box, Face, Landmarks, RgbImage

__all__ = ["MtcnnDetector"]


USUAL_FACE_PX = 40
FACES_PER_SIDE = 12


class MtcnnDetector:
    """Finds faces with the weights in the wheel; safe to share between threads.

    Without ``min_face_size`` faces of 40 pixels and more are looked for, and smaller ones in
    pictures of less than 480 pixels; 20 is what facenet-pytorch does.
    threads: ONNX Runtime threads per run.
    Raises ArtifactError if a model file is missing or was altered.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self.card = load_card("mtcnn")
        self._cascade = _load(self.card, threads)
        self._least_face_size = int(self.card.model["min_face_size"])
        self._min_score = float(self.card.model["min_score"])

    def detect(self, image: RgbImage, *, min_face_size: int | None = None) -> tuple[Face, ...]:
        """Return the faces with a score of at least 0.9, largest box first, inside the picture."""
        found = self.detections(image, min_face_size=min_face_size)
        faces = [
            face
            for row in range(len(found.scores))
            if (face := _face(found, row, image)) is not None
        ]
        return tuple(sorted(faces, key=_rank))

    def detections(self, image: RgbImage, *, min_face_size: int | None = None) -> Detections:
        """Return boxes as the cascade gives them, unclipped, scores of at least 0.9."""
        smallest = min_face_size or self._usual_face_size(image)
        found = self._cascade.detect(image.pixels, smallest)
        kept = found.scores >= self._min_score
        return Detections(found.boxes[kept], found.scores[kept], found.landmarks[kept])

    def _usual_face_size(self, image: RgbImage) -> int:
        """Return the smallest face looked for unless the caller says: 20 to 40 pixels.

        The cost falls with its square, and smaller faces show too little to read; in a small
        picture, though, a small face may be what it is about.
        """
        share = min(image.width, image.height) // FACES_PER_SIDE
        return min(max(share, self._least_face_size), USUAL_FACE_PX)


def _load(card: Card, threads: int) -> Cascade:
    pnet = OrtSession(card.read("pnet.onnx"), threads=threads, dynamic_shapes=True)
    rnet, onet = (
        OrtSession(card.read(file), threads=threads, dynamic_shapes=True)
        for file in ("rnet.onnx", "onet.onnx")
    )
    thresholds = cast(tuple[float, float, float], tuple(card.model["thresholds"]))
    return Cascade(pnet, rnet, onet, thresholds=thresholds, factor=card.model["factor"])


def _face(found: Detections, row: int, image: RgbImage) -> Face | None:
    """Return a face clipped to the picture, None if nothing of it is inside."""
    left, top, right, bottom = found.boxes[row].tolist()
    left, right = max(left, 0.0), min(right, float(image.width))
    top, bottom = max(top, 0.0), min(bottom, float(image.height))
    if not (right > left and bottom > top):
        return None
    points = cast(list[tuple[float, float]], list(map(tuple, found.landmarks[row].tolist())))
    return Face(
        box=Box(left=left, top=top, right=right, bottom=bottom),
        score=float(np.clip(found.scores[row], 0, 1)),
        landmarks=Landmarks(*points),
    )


def _rank(face: Face) -> tuple[float, float, float]:
    """Largest first; equal areas from left to right, then top to bottom."""
    return -face.box.area, face.box.left, face.box.top
