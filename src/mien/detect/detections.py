"""Detections as arrays, the faces they become, and the check of what a detector returns."""

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelContractError
from mien.types import Box, Face, Landmarks, RgbImage

__all__ = ["Detections", "checked_faces"]

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
        boxes = ((row, _clipped(self.boxes[row].tolist(), image)) for row in rows)
        return _largest_first(self._face(row, box) for row, box in boxes if box is not None)

    def _face(self, row: int, box: Box) -> Face:
        points = cast(list[tuple[float, float]], list(map(tuple, self.landmarks[row].tolist())))
        score = float(np.clip(self.scores[row], 0, 1))
        return Face(box=box, score=score, landmarks=Landmarks(*points))


def checked_faces(
    found: object, image: RgbImage, *, detector: str, min_score: float | None
) -> tuple[Face, ...]:
    """Validate the faces that a detector returned, clip their boxes and sort them.

    Args:
        found: What it returned.
        image: The image that was searched.
        detector: Its name, for the error.
        min_score: Faces with a lower score are dropped.

    Raises:
        ModelContractError: It is not a tuple or list of faces, or a face has wrong values.
    """
    if not isinstance(found, tuple | list) or not all(map(_is_sound, found)):
        raise ModelContractError(
            f"{detector} must return a tuple of Face, each with a Box, a score from 0 to 1, and "
            f"Landmarks or None, not {reprlib.repr(found)}"
        )
    boxes = ((face, _clipped(face.box.xyxy, image)) for face in found)
    return _largest_first(
        replace(face, box=box, score=float(face.score))
        for face, box in boxes
        if box is not None and face.score >= (min_score or 0)
    )


def _is_sound(face: object) -> bool:
    return (
        isinstance(face, Face)
        and isinstance(face.box, Box)
        and isinstance(face.score, Real)
        and 0 <= face.score <= 1
        and isinstance(face.landmarks, Landmarks | None)
    )


def _clipped(edges: Sequence[float], image: RgbImage) -> Box | None:
    """Return the part of a box inside the image; None if there is none."""
    left, top, right, bottom = map(float, edges)
    left, right = max(left, 0.0), min(right, float(image.width))
    top, bottom = max(top, 0.0), min(bottom, float(image.height))
    if not (right > left and bottom > top):
        return None
    return Box(left=left, top=top, right=right, bottom=bottom)


def _largest_first(faces: Iterable[Face]) -> tuple[Face, ...]:
    """Sort faces by area; equal ones from left to right, then top to bottom."""
    return tuple(sorted(faces, key=lambda face: (-face.box.area, face.box.left, face.box.top)))
