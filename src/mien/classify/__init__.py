"""Classifying the emotion of a face: crops, models and label sets."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien.classify.preprocess import CropSpec
from mien.types import Emotion

__all__ = ["EmotionClassifier"]


class EmotionClassifier(Protocol):
    """Turns crops of faces into probabilities; threads may share it."""

    @property
    def labels(self) -> tuple[Emotion, ...]:
        """The emotions that the model knows, in the order of the columns of ``predict``."""
        ...

    @property
    def crop(self) -> CropSpec:
        """The crops that ``predict`` takes."""
        ...

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K) calibrated probabilities, one row per crop, columns as ``labels``.

        Args:
            crops: (N, *crop.shape) float32; N may be 0.
        """
        ...
