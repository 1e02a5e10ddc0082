"""The three label sets, and how wider predictions narrow to them."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mien.types import Emotion

__all__ = ["LabelSet", "narrow"]

_ORDER = tuple(Emotion)


class LabelSet(StrEnum):
    """How many emotions an answer tells apart: ``seven`` adds disgust, ``eight`` contempt too."""

    SIX = "six"
    SEVEN = "seven"
    EIGHT = "eight"

    @property
    def emotions(self) -> tuple[Emotion, ...]:
        """The labels of the set, in a fixed order."""
        return _ORDER[: {"six": 6, "seven": 7, "eight": 8}[self.value]]


def narrow(
    probabilities: NDArray[np.float32], labels: tuple[Emotion, ...], wanted: tuple[Emotion, ...]
) -> NDArray[np.float32]:
    """Return (N, len(wanted)) probabilities: other classes set aside, the rest renormalised.

    probabilities: (N, len(labels)), rows sum to 1. A label that the model does not know gets 0.
    """
    columns = np.zeros((len(probabilities), len(wanted)), dtype=np.float32)
    for target, emotion in enumerate(wanted):
        if emotion in labels:
            columns[:, target] = probabilities[:, labels.index(emotion)]
    total = columns.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = columns / np.maximum(total, np.finfo(np.float32).tiny)
    return shares
