"""The three label sets, and how a model's probabilities are reduced to one of them."""

import reprlib
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mien.errors import InvalidParameterError, ModelContractError
from mien.types import Emotion

__all__ = ["LabelSet", "check_labels", "checked_probabilities", "narrow"]

_ORDER = tuple(Emotion)
# Of float32: the exponential of a logarithm may exceed 1 by so much.
_ROUNDING = 1e-5


class LabelSet(StrEnum):
    """The emotions among which results choose.

    ``six`` has happy, sad, angry, fear, surprise and neutral. ``seven`` adds disgust, ``eight``
    disgust and contempt.
    """

    SIX = "six"
    SEVEN = "seven"
    EIGHT = "eight"

    @property
    def emotions(self) -> tuple[Emotion, ...]:
        """The labels of the set, in the order of ``Emotion``."""
        return _ORDER[: {"six": 6, "seven": 7, "eight": 8}[self.value]]


def check_labels(labels: Iterable[Emotion], wanted: Iterable[Emotion]) -> None:
    """Raise InvalidParameterError if a model with these labels knows no wanted emotion."""
    if set(labels).isdisjoint(wanted):
        raise InvalidParameterError(
            f"labels: the emotion model only knows {', '.join(labels)}; choose another set"
        )


def checked_probabilities(
    found: object, *, faces: int, labels: Sequence[Emotion], classifier: str
) -> NDArray[np.float32]:
    """Validate the probabilities (N, K) that a classifier returned.

    Args:
        found: What it returned.
        faces: N.
        labels: The labels of the model, in the order of the columns.
        classifier: Its name, for the error.

    Raises:
        ModelContractError: It has another shape or type, or a value is not between 0 and 1.
    """
    rows: NDArray[np.float32] = found if isinstance(found, np.ndarray) else np.empty(0, np.float32)
    if (
        rows.dtype.kind not in "fiu"
        or rows.shape != (faces, len(labels))
        or not ((rows >= 0) & (rows <= 1 + _ROUNDING)).all()
    ):
        raise ModelContractError(
            f"{classifier} must return an array of {faces} rows with {len(labels)} probabilities "
            f"from 0 to 1, not {reprlib.repr(found)}"
        )
    return rows


def narrow(
    probabilities: NDArray[np.float32], labels: tuple[Emotion, ...], wanted: tuple[Emotion, ...]
) -> NDArray[np.float32]:
    """Drop the labels that are not wanted and renormalize the others.

    Args:
        probabilities: (N, len(labels)) probabilities; rows sum to 1.
        labels: Emotions of the columns.
        wanted: Emotions to keep.

    Returns:
        (N, len(wanted)) probabilities. A wanted emotion that is not among ``labels`` gets 0.

    Raises:
        InvalidParameterError: None of the wanted emotions is among ``labels``.
    """
    check_labels(labels, wanted)
    # Probabilities are kept above 0, so that their sum is also above 0.
    least = np.finfo(np.float32).tiny
    columns = np.zeros((len(probabilities), len(wanted)), dtype=np.float32)
    for target, emotion in enumerate(wanted):
        if emotion in labels:
            columns[:, target] = np.maximum(probabilities[:, labels.index(emotion)], least)
    shares: NDArray[np.float32] = columns / columns.sum(axis=1, keepdims=True)
    return shares
