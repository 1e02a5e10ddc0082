"""Figures of a classifier from its probabilities: accuracy, F1, calibration, intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CALIBRATION_BINS = 15
BOOTSTRAP_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How well probabilities (N, K) meet the truth (N,).

    confusion: (K, K) counts, rows truth, columns prediction; interval: 95 % bootstrap interval of
    the accuracy; calibration_error: expected, 15 equal-width bins, 0 to 1;
    log_likelihood: mean negative log-likelihood in nats.
    """

    labels: tuple[str, ...]
    faces: int
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    f1: tuple[float, ...]
    confusion: Ints
    calibration_error: float
    log_likelihood: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards, rounded to four decimals."""
        return {
            "faces": self.faces,
            "accuracy": round(self.accuracy, 4),
            "accuracy_interval": [round(edge, 4) for edge in self.interval],
            "macro_f1": round(self.macro_f1, 4),
            "calibration_error": round(self.calibration_error, 4),
            "negative_log_likelihood": round(self.log_likelihood, 4),
            "per_class": {
                label: {
                    "faces": int(self.confusion[row].sum()),
                    "precision": round(self.precision[row], 4),
                    "recall": round(self.recall[row], 4),
                    "f1": round(self.f1[row], 4),
                }
                for row, label in enumerate(self.labels)
            },
            "confusion": self.confusion.tolist(),
        }


def measure(probabilities: Floats, truth: Ints, labels: tuple[str, ...]) -> Metrics:
    """Return the metrics of probabilities (N, K) against class indices (N,); N at least 1."""
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    hits = np.diag(confusion)
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    right = predicted == truth
    likelihood = probabilities[np.arange(len(truth)), truth]
    return Metrics(
        labels=labels,
        faces=len(truth),
        accuracy=float(right.mean()),
        interval=_bootstrap(right),
        macro_f1=float(f1.mean()),
        recall=tuple(recall.tolist()),
        precision=tuple(precision.tolist()),
        f1=tuple(f1.tolist()),
        confusion=confusion,
        calibration_error=calibration_error(probabilities.max(axis=1), right),
        log_likelihood=float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
    )


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, 0 to 1, over 15 equal-width bins.

    Source: Guo et al. 2017, arXiv 1706.04599, eq. 3.
    """
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    gaps = np.bincount(bins, confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / max(counts.sum(), 1))


def _bootstrap(right: NDArray[np.bool_]) -> tuple[float, float]:
    # Resampled accuracies of N faces are binomial, so they need no index arrays.
    draws = np.random.default_rng(0).binomial(len(right), right.mean(), BOOTSTRAP_ROUNDS)
    low, high = np.percentile(draws / len(right), [2.5, 97.5])
    return float(low), float(high)
