"""Finding faces: the protocol of all detectors."""

from typing import Protocol

from mien.types import Face, RgbImage

__all__ = ["MIN_FACE_SIZE_PX", "FaceDetector"]

# The lowest ``min_face_size``: the window of MTCNN's first network.
MIN_FACE_SIZE_PX = 12


class FaceDetector(Protocol):
    """Finds faces. Threads may share it; the same image always gives the same faces."""

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, in any order.

        ``Recognizer`` clips their boxes to the image and sorts them, largest first. The included
        detectors already do so.

        Args:
            image: Upright image; it may have been reduced on decoding.
            min_face_size: Longer side of the smallest face to return, in pixels of ``image``;
                ``mtcnn`` may return smaller ones. None: the detector's default.
            min_score: Lowest score of a face, 0 to 1. None: the detector's default.
        """
        ...
