"""Detections as arrays, and the faces they become."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mien.types import Box, Face, Landmarks, RgbImage

__all__ = ["Detections"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes of one image, best score first.

    Attributes:
        boxes: (N, 4) left, top, right, bottom in pixels; they may reach over the image's edge.
        scores: (N,) 0 to 1.
        landmarks: (N, 5, 2) points in pixels.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats

    @classmethod
    def from_rows(cls, rows: Floats) -> "Detections":
        """Take rows (N, 15): score, box, five points."""
        return cls(rows[:, 1:5], rows[:, 0], rows[:, 5:].reshape(-1, 5, 2))

    def faces(self, image: RgbImage, min_face_size: int | None = None) -> tuple[Face, ...]:
        """Return the faces inside the image, boxes clipped to it, largest first.

        Args:
            image: The image that was searched.
            min_face_size: Faces whose longer side is shorter are dropped.
        """
        sides = (self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1, initial=0)
        rows = np.flatnonzero(sides >= (min_face_size or 0)).tolist()
        found = (self._face(row, image) for row in rows)
        return tuple(sorted((face for face in found if face is not None), key=_rank))

    def _face(self, row: int, image: RgbImage) -> Face | None:
        """Return a face; None if no part of it is inside the image."""
        left, top, right, bottom = self.boxes[row].tolist()
        left, right = max(left, 0.0), min(right, float(image.width))
        top, bottom = max(top, 0.0), min(bottom, float(image.height))
        if not (right > left and bottom > top):
            return None
        points = cast(list[tuple[float, float]], list(map(tuple, self.landmarks[row].tolist())))
        return Face(
            box=Box(left=left, top=top, right=right, bottom=bottom),
            score=float(np.clip(self.scores[row], 0, 1)),
            landmarks=Landmarks(*points),
        )


def _rank(face: Face) -> tuple[float, float, float]:
    """Largest first; equal areas from left to right, then top to bottom."""
    return -face.box.area, face.box.left, face.box.top
