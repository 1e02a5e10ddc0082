"""Convert rows of detections to faces, and validate what a detector returns."""

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelContractError
from mien.types import Box, Face, Landmarks, RgbImage

__all__ = ["checked_faces", "faces_of"]


def faces_of(
    rows: NDArray[np.float32], image: RgbImage, min_face_size: int | None = None
) -> tuple[Face, ...]:
    """Return the faces inside the image, boxes clipped to it, largest first.

    Args:
        rows: (N, 15) score, box and five points in pixels; boxes may extend beyond the image.
        image: The image that was searched.
        min_face_size: Faces whose longer side is shorter are dropped.
    """
    sides = (rows[:, 3:5] - rows[:, 1:3]).max(axis=1, initial=0)
    large = rows[sides >= (min_face_size or 0)].tolist()
    boxes = ((row, _clipped(row[1:5], image)) for row in large)
    return _largest_first(_face(row, box) for row, box in boxes if box is not None)


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


def _face(row: list[float], box: Box) -> Face:
    points = Landmarks(*zip(row[5::2], row[6::2], strict=True))
    return Face(box=box, score=min(max(row[0], 0.0), 1.0), landmarks=points)


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
