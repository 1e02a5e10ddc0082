"""MTCNN exactly as facenet-pytorch 2.6.0 runs it: the baseline's detector."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import load_card
from mien.detect.detections import faces_of
from mien.detect.mtcnn.cascade import Cascade
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import Face, RgbImage

__all__ = ["MtcnnDetector"]

# facenet-pytorch's defaults.
DEFAULT_FACE_SIZE_PX = 20
MIN_SCORE = 0.7


class MtcnnDetector:
    """Finds faces as facenet-pytorch does with the same parameters. Threads may share it."""

    def __init__(self, *, providers: Sequence[Provider] = CPU) -> None:
        """Load the three networks.

        Args:
            providers: As for OrtSession.

        Raises:
            ArtifactError: A model file is missing or was altered.
        """
        card = load_card("mtcnn")
        self._cascade = Cascade(
            *(
                OrtSession(card.read(file), dynamic_shapes=True, providers=providers)
                for file in ("pnet.onnx", "rnet.onnx", "onet.onnx")
            )
        )

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, largest box first, inside the image.

        Args:
            image: Upright image.
            min_face_size: As facenet-pytorch's, 20 by default.
            min_score: Least score of the last network, 0.7 by default.
        """
        rows = self.detections(image, min_face_size=min_face_size, min_score=min_score)
        return faces_of(rows, image)

    def detections(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> NDArray[np.float32]:
        """Return rows (N, 15) of the faces, boxes unclipped, best score first."""
        if min_score is not None:
            # facenet-pytorch drops scores that equal its threshold.
            min_score = float(np.nextafter(np.float32(min_score), np.float32(-1)))
        return self._cascade.detect(
            image,
            DEFAULT_FACE_SIZE_PX if min_face_size is None else min_face_size,
            MIN_SCORE if min_score is None else min_score,
        )
