"""Finding faces: the protocol that every detector keeps, and the registry."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mien.types import Box, Face, RgbImage

__all__ = ["FaceDetector", "FaceFollower"]


class FaceDetector(Protocol):
    """Finds faces; safe to share between threads, and the same picture gives the same answer."""

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, largest box first; boxes are clipped to the picture.

        min_face_size: smallest face looked for, in pixels; min_score: least score, 0 to 1; None for
        the detector's own default.
        """
        ...


@runtime_checkable
class FaceFollower(Protocol):
    """A detector that can look where faces were a moment ago, in a fraction of the time."""

    def follow(self, image: RgbImage, near: Sequence[Box]) -> tuple[Face, ...]:
        """Return the faces around the given boxes, as ``detect`` does; new ones are not found."""
        ...
