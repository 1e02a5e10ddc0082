"""Metrics of a classifier from its probabilities: accuracy, F1, calibration, intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

CALIBRATION_BINS = 15
BOOTSTRAP_ROUNDS = 1000
TOP_CONFUSIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Accuracy by confidence, in 15 equal-width bins of confidence, lowest first.

    counts (15,): predictions; confidence (15,): their mean confidence; accuracy (15,): share of
    correct ones. Both are 0 in an empty bin.
    """

    counts: Ints
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error, 0 to 1. Source: Guo et al. 2017, arXiv 1706.04599, eq. 3."""
        gaps = np.abs(self.confidence - self.accuracy) * self.counts
        return float(gaps.sum() / max(self.counts.sum(), 1))

    @property
    def error_by_chance(self) -> float:
        """Expected calibration error of a perfectly calibrated model on a sample of this size.

        The share of correct predictions among n with confidence c differs from c by
        sqrt(2 c (1 - c) / (pi n)) on average: the mean deviation of a normal distribution.
        """
        variance = self.confidence * (1 - self.confidence)
        gaps = np.sqrt(2 / math.pi * variance * self.counts)
        return float(gaps.sum() / max(self.counts.sum(), 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """``faces`` of class ``truth`` were classified as ``predicted``: ``share`` of that class."""

    truth: str
    predicted: str
    faces: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Metrics of probabilities (N, K) against the truth (N,).

    macro_f1: the mean F1 of the classes that occur, in the truth or as a prediction; confusion:
    (K, K) counts, rows truth, columns prediction; intervals: 95 %, by bootstrap;
    log_likelihood: mean negative log-likelihood in nats; confidence (N,), right (N,): of every
    face, for curves.
    """

    labels: tuple[str, ...]
    faces: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    recall: tuple[float, ...]
    recall_intervals: tuple[Interval, ...]
    precision: tuple[float, ...]
    f1: tuple[float, ...]
    confusion: Ints
    reliability: Reliability
    log_likelihood: float
    confidence: Floats
    right: NDArray[np.bool_]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, 0 to 1, over 15 equal-width bins."""
        return self.reliability.error

    @property
    def balanced(self) -> float:
        """Balanced accuracy: the mean recall of the classes that occur."""
        occurs = self.confusion.sum(axis=1) > 0
        return float(np.array(self.recall)[occurs].mean())

    def top_confusions(self, count: int = TOP_CONFUSIONS) -> list[Confusion]:
        """Return the most frequent mistakes, by the number of faces."""
        return top_confusions(self.confusion, self.labels, count)

    def above(self, confidence: float) -> tuple[float, float]:
        """Return the share of predictions with at least this confidence, and their accuracy.

        The accuracy is NaN if there are none.
        """
        sure = self.confidence >= confidence
        return float(sure.mean()), float(self.right[sure].mean()) if sure.any() else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards, rounded to four decimals."""
        return {
            "faces": self.faces,
            "accuracy": round(self.accuracy, 4),
            "accuracy_interval": _rounded(self.accuracy_interval),
            "macro_f1": round(self.macro_f1, 4),
            "macro_f1_interval": _rounded(self.macro_f1_interval),
            "calibration_error": round(self.calibration_error, 4),
            "calibration_error_by_chance": round(self.reliability.error_by_chance, 4),
            "negative_log_likelihood": round(self.log_likelihood, 4),
            "per_class": {
                label: {
                    "faces": int(self.confusion[row].sum()),
                    "precision": round(self.precision[row], 4),
                    "recall": round(self.recall[row], 4),
                    "recall_interval": _rounded(self.recall_intervals[row]),
                    "f1": round(self.f1[row], 4),
                }
                for row, label in enumerate(self.labels)
            },
            "confusion": self.confusion.tolist(),
            # count, mean confidence and accuracy of each bin
            "reliability": [
                [int(count), round(float(confidence), 4), round(float(accuracy), 4)]
                for count, confidence, accuracy in zip(
                    self.reliability.counts,
                    self.reliability.confidence,
                    self.reliability.accuracy,
                    strict=True,
                )
            ],
        }


def measure(probabilities: Floats, truth: Ints, labels: tuple[str, ...]) -> Metrics:
    """Return the metrics of probabilities (N, K) against class indices (N,); N at least 1."""
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    recall, precision, f1 = _per_class(confusion.astype(np.float64))
    right = predicted == truth
    confidence = probabilities.max(axis=1)
    likelihood = probabilities[np.arange(len(truth)), truth]
    return Metrics(
        labels=labels,
        faces=len(truth),
        accuracy=float(right.mean()),
        macro_f1=float(_macro(f1, confusion)),
        recall=tuple(recall.tolist()),
        precision=tuple(precision.tolist()),
        f1=tuple(f1.tolist()),
        confusion=confusion,
        reliability=reliability(confidence, right),
        log_likelihood=float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        confidence=confidence,
        right=right,
        **_intervals(confusion),
    )


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> Reliability:
    """Return the bins of confidences (N,), 0 to 1, and correctness (N,) of predictions."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    per_bin = np.maximum(counts, 1)
    return Reliability(
        counts=counts,
        confidence=np.bincount(bins, confidence, minlength=CALIBRATION_BINS) / per_bin,
        accuracy=np.bincount(bins, right, minlength=CALIBRATION_BINS) / per_bin,
    )


def top_confusions(confusion: Ints, labels: tuple[str, ...], count: int) -> list[Confusion]:
    """Return the most frequent mistakes of a confusion matrix (K, K), rows truth."""
    wrong = confusion * (1 - np.eye(len(labels), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    totals = confusion.sum(axis=1)
    return [
        Confusion(
            truth=labels[truth],
            predicted=labels[predicted],
            faces=int(wrong[truth, predicted]),
            share=float(wrong[truth, predicted] / totals[truth]),
        )
        for truth, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[truth, predicted]
    ]


def _per_class(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Return recall, precision and F1, each (..., K), of confusion matrices (..., K, K)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    recall = hits / np.maximum(confusion.sum(axis=-1), 1)
    precision = hits / np.maximum(confusion.sum(axis=-2), 1)
    return recall, precision, 2 * recall * precision / np.maximum(recall + precision, 1e-12)


def _macro(f1: Floats, confusion: Floats | Ints) -> Floats:
    """Return the mean F1 (...) of the classes (..., K) that occur, in the truth or predicted."""
    occurs = confusion.sum(axis=-1) + confusion.sum(axis=-2) > 0
    mean: Floats = np.mean(f1, axis=-1, where=occurs)
    return mean


def _intervals(confusion: Ints) -> dict[str, Any]:
    """Return 95 % bootstrap intervals of the metrics of a confusion matrix.

    Drawing N faces with replacement is the same as drawing N cells of the matrix with
    probabilities proportional to their counts.
    """
    total = int(confusion.sum())
    draws = np.random.default_rng(0).multinomial(total, confusion.ravel() / total, BOOTSTRAP_ROUNDS)
    matrices = draws.reshape(-1, *confusion.shape).astype(np.float64)
    recall, _, f1 = _per_class(matrices)
    drawn = matrices.sum(axis=2) > 0
    accuracy = np.trace(matrices, axis1=1, axis2=2) / total
    return {
        "accuracy_interval": _middle(accuracy),
        "macro_f1_interval": _middle(_macro(f1, matrices)),
        # Draws without a face of the class are excluded: their recall is undefined.
        "recall_intervals": tuple(
            _middle(recall[known, row]) if known.any() else (0.0, 1.0)
            for row, known in enumerate(drawn.T)
        ),
    }


def _middle(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _rounded(interval: Interval) -> list[float]:
    return [round(edge, 4) for edge in interval]
