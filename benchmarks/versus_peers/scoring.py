"""How often what a system says about a face is what people say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classify.labels import LabelSet
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, FerDataset

SIX = tuple(emotion.value for emotion in LabelSet.SIX.emotions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Faces and what they show. truth: (N,) index into the labels, -1 where a face is left out."""

    name: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]


def questions(data: FerDataset) -> list[Question]:
    """Return what is asked: FER+ majority with six and with eight labels, FER2013's own seven."""
    majority = data.ferplus_majority()
    of_six = np.array([SIX.index(e) if e in SIX else -1 for e in FERPLUS_LABELS] + [-1])
    return [
        Question(name="six", labels=SIX, truth=of_six[majority]),
        Question(name="ferplus", labels=FERPLUS_LABELS, truth=majority),
        Question(name="fer2013", labels=FER2013_LABELS, truth=data.fer2013),
    ]


def accuracy(question: Question, scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the share of faces that are right, half its 95 % interval, and the number of faces.

    scores: for all faces. The likeliest of those of the question's labels that a system knows is
    its answer, the first it names where two are equal; of none, a wrong one. A label that it does
    not know, it never gets right.
    """
    faces = [(s, int(t)) for s, t in zip(scores, question.truth, strict=True) if t >= 0]
    if not faces:
        raise ValueError(f"no face has one of {', '.join(question.labels)}")
    right = sum(answer(score, question.labels) == question.labels[t] for score, t in faces)
    share = right / len(faces)
    half = 1.96 * math.sqrt(share * (1 - share) / len(faces))
    return {"accuracy": share, "half_interval": half, "faces": len(faces)}


def answer(scores: Mapping[str, float], labels: Sequence[str]) -> str | None:
    """Return the label of the highest score, None where it has none of them."""
    known = {label: score for label, score in scores.items() if label in labels}
    return max(known, key=known.__getitem__) if known else None
