"""Fit the temperature that makes confidence mean what it says."""

import numpy as np

from mien.classify.labels import LabelSet
from mien.classify.onnx import OnnxClassifier
from mien_train.data.fer2013 import FERPLUS_LABELS, FerDataset
from mien_train.evaluate import run_model

# Searched on a fine grid in log scale: one parameter needs no optimiser.
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(4.0), 801))


def fit_temperature(classifier: OnnxClassifier, data: FerDataset) -> float:
    """Return the temperature with the best likelihood of the six labels' FER+ majority.

    The six are what the product shows by default. Source: Guo et al. 2017, arXiv 1706.04599.
    """
    wanted = [emotion.value for emotion in LabelSet.SIX.emotions]
    columns = [[e.value for e in classifier.labels].index(name) for name in wanted]
    logits = run_model(classifier, data).ferplus[:, columns].astype(np.float64)
    majority = data.ferplus_majority()
    position = np.array([wanted.index(n) if n in wanted else -1 for n in FERPLUS_LABELS] + [-1])
    truth = position[majority]
    logits, truth = logits[truth >= 0], truth[truth >= 0]
    losses = [_loss(logits / temperature, truth) for temperature in TEMPERATURES]
    return float(round(TEMPERATURES[int(np.argmin(losses))], 4))


def _loss(logits: np.ndarray, truth: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1))
    return float((log_total - shifted[np.arange(len(truth)), truth]).mean())
