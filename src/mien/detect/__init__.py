"""Finding faces: the protocol that every detector keeps, and the registry."""

from typing import Protocol

from mien.types import Face, RgbImage

__all__ = ["FaceDetector"]


class FaceDetector(Protocol):
    """Finds faces; safe to share between threads, and the same picture gives the same answer."""

    def detect(self, image: RgbImage, *, min_face_size: int | None = None) -> tuple[Face, ...]:
        """Return the faces, largest box first; boxes are clipped to the picture.

        min_face_size: smallest face looked for, in pixels; None for the detector's own default.
        """
        ...
