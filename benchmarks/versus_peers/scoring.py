"""Accuracy of a system's emotions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, FerDataset
from mien_train.metrics import measure
from mien_train.photos import SIX, LabeledFace, match


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A labelling of faces that systems are compared with.

    Attributes:
        name: Short name.
        labels: The labels.
        truth: (N,) index into the labels; -1 excludes the face.
    """

    name: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]


def questions(data: FerDataset) -> list[Question]:
    """Return FER+ majority with six and with eight labels, and FER2013's own seven."""
    majority = data.ferplus_majority()
    of_six = np.array([SIX.index(e) if e in SIX else -1 for e in FERPLUS_LABELS] + [-1])
    return [
        Question(name="six", labels=SIX, truth=of_six[majority]),
        Question(name="ferplus", labels=FERPLUS_LABELS, truth=majority),
        Question(name="fer2013", labels=FER2013_LABELS, truth=data.fer2013),
    ]


def accuracy(question: Question, scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Compute the accuracy of a system.

    Its prediction is the label with the highest score among the question's labels; the first one if
    two are equal. If it knows none of them, the prediction is wrong. Faces with a label that the
    system does not know count as wrong.

    Args:
        question: The labelling.
        scores: For each face the scores by label.

    Returns:
        The accuracy, half of its 95 % interval, and the number of faces.

    Raises:
        ValueError: No face has one of the labels.
    """
    faces = [(s, int(t)) for s, t in zip(scores, question.truth, strict=True) if t >= 0]
    if not faces:
        raise ValueError(f"no face has one of {', '.join(question.labels)}")
    correct = sum(prediction(score, question.labels) == question.labels[t] for score, t in faces)
    share = correct / len(faces)
    half = 1.96 * math.sqrt(share * (1 - share) / len(faces))
    return {"accuracy": share, "half_interval": half, "faces": len(faces)}


def natural(
    labeled: Sequence[LabeledFace], faces: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, float]:
    """Score a system on labeled faces of whole photos.

    The six labels are compared: a score that is missing is zero, and their sum is made 1.

    Args:
        labeled: The faces.
        faces: For each of them, the faces that the system finds in its photo, as in the protocol.

    Returns:
        The share that is found; accuracy, macro-F1 and calibration error of the found ones, if the
        system has scores; and the accuracy if missed faces count as wrong.
    """
    found = []
    for face, others in zip(labeled, faces, strict=True):
        index = match(face.box, [other["box"] for other in others])
        found.append(None if index is None else others[index])
    share = {"found": sum(face is not None for face in found) / len(found)}
    scored = [
        (face["scores"], one.label)
        for one, face in zip(labeled, found, strict=True)
        if face and face.get("scores")
    ]
    if not scored:
        return share
    rows = np.array([[scores.get(label, 0.0) for label in SIX] for scores, _ in scored])
    rows = np.maximum(rows, 1e-9)
    truth = np.array([SIX.index(label) for _, label in scored])
    metrics = measure(rows / rows.sum(axis=1, keepdims=True), truth, SIX)
    return share | {
        "accuracy": metrics.accuracy,
        "macro_f1": metrics.macro_f1,
        "calibration_error": metrics.calibration_error,
        "end_to_end": float(metrics.right.sum() / len(labeled)),
    }


def prediction(scores: Mapping[str, float], labels: Sequence[str]) -> str | None:
    """Return the label with the highest score; None if there is a score for none of them."""
    known = {label: score for label, score in scores.items() if label in labels}
    return max(known, key=known.__getitem__) if known else None
