"""Fit what stands between outputs and answer: the second output's share and the temperature."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier
from mien_train.data.fer2013 import FER2013_LABELS, FerDataset
from mien_train.evaluate import run_model, truth_among
from mien_train.metrics import measure

# Few values on a coarse grid: PublicTest can't tell finer ones apart.
SHARES = np.arange(0, 17) * 0.05
# Searched on a fine grid in log scale: one parameter needs no optimiser.
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(4.0), 401))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The share of the FER2013 output, 0 to 1, and the temperature, greater than 0."""

    second_share: float
    temperature: float

    def to_card(self) -> dict[str, Any]:
        """Return the keys of the card's ``model`` table."""
        return {
            "second_labels": list(FER2013_LABELS),
            "second_share": self.second_share,
            "temperature": self.temperature,
        }


def fit(classifier: OnnxClassifier, data: FerDataset) -> Calibration:
    """Return the calibration for the six labels that the product shows by default.

    The share is the one with the best macro-F1 against the FER+ majority, or the FER2013 label
    without votes: it counts rare emotions like common ones, since nobody knows how often they come
    in users' photos. The temperature is the one with the best likelihood.
    Raises DataError if no face has one of the six labels.
    Source: Guo et al. 2017, arXiv 1706.04599.
    """
    wanted = tuple(emotion.value for emotion in LabelSet.SIX.emotions)
    truth, _ = truth_among(wanted, data)
    outputs = run_model(classifier, data).rows(truth >= 0)
    truth = truth[truth >= 0]

    def six(calibration: Calibration) -> NDArray[np.float32]:
        return narrow(
            outputs.product(_with(classifier, calibration)),
            classifier.labels,
            LabelSet.SIX.emotions,
        )

    best = Calibration(0.0, 1.0)
    if outputs.fer2013 is not None:
        trials = [Calibration(round(float(share), 2), 1.0) for share in SHARES]
        best = max(
            trials,
            key=lambda trial: measure(six(trial).astype(np.float64), truth, wanted).macro_f1,
        )
    trials = [replace(best, temperature=round(float(t), 4)) for t in TEMPERATURES]
    return min(trials, key=lambda trial: _loss(six(trial), truth))


def _with(classifier: OnnxClassifier, calibration: Calibration) -> OnnxClassifier:
    return classifier.recalibrated(calibration.to_card())


def _loss(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    likelihood = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(likelihood, 1e-12)).mean())
