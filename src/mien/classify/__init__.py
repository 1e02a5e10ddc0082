"""Reading the emotion off a face: label sets, crop geometry, calibrated probabilities."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien.types import Emotion

__all__ = ["EmotionClassifier"]


class EmotionClassifier(Protocol):
    """Turns face crops into probabilities; safe to share between threads."""

    @property
    def labels(self) -> tuple[Emotion, ...]:
        """The emotions that the model knows, in the order of the columns of ``predict``."""
        ...

    @property
    def crop_size_px(self) -> int:
        """Side of the square crops that ``predict`` takes."""
        ...

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K) calibrated probabilities, one row per crop, columns as ``labels``.

        crops: (N, 1, S, S) float32 grey in [0, 1], S = ``crop_size_px``; N may be 0.
        """
        ...
