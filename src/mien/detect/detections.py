"""What detectors find, as arrays, and the faces that become of it."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mien.types import Box, Face, Landmarks, RgbImage

__all__ = ["Detections"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detections:
    """boxes (N, 4), scores (N,) 0 to 1, landmarks (N, 5, 2); pixels, unclipped, best first."""

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def faces(self, image: RgbImage) -> tuple[Face, ...]:
        """Return the faces inside the picture, boxes cut at its edges, largest first."""
        found = (self._face(row, image) for row in range(len(self.scores)))
        return tuple(sorted((face for face in found if face is not None), key=_rank))

    def _face(self, row: int, image: RgbImage) -> Face | None:
        """Return a face, None if nothing of it is inside."""
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
