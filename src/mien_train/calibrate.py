"""Calibration: fit the weight of the second output, and the temperatures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mien.classify.crop import square_of_face
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier
from mien_train.data.fer2013 import FER2013_LABELS, FerDataset
from mien_train.errors import TrainingError
from mien_train.evaluate import Outputs, outputs_of, run_model, truth_among
from mien_train.metrics import Metrics, measure
from mien_train.photos import SIX, located

# A coarse grid: PublicTest is too small to distinguish finer steps.
SHARES = np.arange(0, 17) * 0.05
# Searched on a fine grid in log scale: one parameter needs no optimizer.
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(4.0), 401))
# For the temperature, PublicTest counts twice as much as the photos' random sample, which has fewer
# faces.
DATA_WEIGHT = 2
# Standard deviations in pixels with which faces of 48 pixels are blurred.
BLURS_PX = (1.0, 1.5, 2.0, 3.0, 4.0)
DETAILS = np.exp(np.linspace(np.log(0.005), np.log(0.5), 31))
EXPONENTS = np.arange(0, 21) * 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """The share of the FER2013 output, 0 to 1, and the temperature.

    temperature: of sharp faces, greater than 0; blur_threshold, blur_exponent: for faces with less
    detail it is multiplied by (blur_threshold / detail) ** blur_exponent.
    """

    second_share: float = 0.0
    temperature: float = 1.0
    blur_threshold: float = 1.0
    blur_exponent: float = 0.0

    def to_card(self) -> dict[str, Any]:
        """Return the keys of the card's ``model`` table."""
        return {
            "second_labels": list(FER2013_LABELS),
            "second_share": self.second_share,
            "temperature": self.temperature,
            "blur_threshold": self.blur_threshold,
            "blur_exponent": self.blur_exponent,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Faces:
    """A model's outputs for N faces, and their labels among the six.

    random: (N,) whether a face belongs to a random sample of photos.
    """

    outputs: Outputs
    truth: NDArray[np.int64]
    random: NDArray[np.bool_]

    def probabilities(self, classifier: OnnxClassifier) -> NDArray[np.float32]:
        """Return the probabilities (N, 6) with the classifier's calibration."""
        return narrow(
            self.outputs.probabilities(classifier), classifier.labels, LabelSet.SIX.emotions
        )

    def metrics(self, classifier: OnnxClassifier, rows: NDArray[np.bool_]) -> Metrics:
        probabilities = self.probabilities(classifier)[rows].astype(np.float64)
        return measure(probabilities, self.truth[rows], SIX)


def fit(classifier: OnnxClassifier, data: FerDataset, photos: Path | None = None) -> Calibration:
    """Return the calibration for the six labels that the product shows by default.

    The share maximizes macro-F1 against the FER+ majority, or against the FER2013 label without
    votes. Macro-F1 weights rare emotions like common ones, because their frequency in users' photos
    is unknown. With a folder of labeled photos, the share maximizes the sum of macro-F1, the
    accuracy on the random sample and the balanced accuracy on all faces. The temperature maximizes
    the likelihood, with ``DATA_WEIGHT`` for ``data`` and 1 for the photos. Its increase for blurred
    faces maximizes the likelihood of ``data`` and its blurred copies.
    Raises TrainingError if no face has one of the six labels.
    Source: Guo et al. 2017, arXiv 1706.04599.
    """
    truth, _ = truth_among(SIX, data)
    counted = truth >= 0
    data, truth = data.rows(counted), truth[counted]
    outputs = run_model(classifier, data)
    every = np.ones(len(data), dtype=np.bool_)
    faces = _Faces(outputs=outputs, truth=truth, random=every)
    natural = None if photos is None else _in_photos(classifier, photos)
    weighted = [(faces, DATA_WEIGHT)] + ([] if natural is None else [(natural, 1)])

    def merit(trial: Calibration) -> float:
        calibrated = classifier.recalibrated(trial.to_card())
        macro_f1 = faces.metrics(calibrated, every).macro_f1
        if natural is None:
            return macro_f1
        sample = natural.metrics(calibrated, natural.random)
        whole = natural.metrics(calibrated, np.ones_like(natural.random))
        return macro_f1 + sample.accuracy + whole.balanced

    def loss(trial: Calibration) -> float:
        calibrated = classifier.recalibrated(trial.to_card())
        return sum(
            weight * _loss(each.probabilities(calibrated)[each.random], each.truth[each.random])
            for each, weight in weighted
        )

    best = Calibration()
    if outputs.fer2013 is not None:
        best = max((Calibration(round(float(share), 2)) for share in SHARES), key=merit)
    trials = [replace(best, temperature=round(float(t), 4)) for t in TEMPERATURES]
    best = min(trials, key=loss)
    copies = [run_model(classifier, _blurred(data, sigma_px)) for sigma_px in BLURS_PX]
    return _fit_blur(best, classifier, [faces, *(replace(faces, outputs=run) for run in copies)])


def _fit_blur(best: Calibration, classifier: OnnxClassifier, sets: Sequence[_Faces]) -> Calibration:
    """Return the calibration with the temperature's rise for the blurred faces of the sets."""

    def loss(trial: Calibration) -> float:
        calibrated = classifier.recalibrated(trial.to_card())
        return sum(_loss(each.probabilities(calibrated), each.truth) for each in sets)

    # The first of equal trials wins: no rise for blurred faces.
    trials = [best] + [
        replace(best, blur_threshold=round(float(d), 4), blur_exponent=round(float(e), 2))
        for d in DETAILS
        for e in EXPONENTS[1:]
    ]
    return min(trials, key=loss)


def _blurred(data: FerDataset, sigma_px: float) -> FerDataset:
    blur = ImageFilter.GaussianBlur(sigma_px)
    faces = [np.asarray(Image.fromarray(face).filter(blur)) for face in data.faces]
    return replace(data, faces=np.stack(faces))


def _in_photos(classifier: OnnxClassifier, folder: Path) -> _Faces:
    crops, truth, random = [], [], []
    for image, face, labeled in located(folder):
        square = square_of_face(face, classifier.crop.template)
        crops.append(classifier.crop.crops(image, [square]))
        truth.append(SIX.index(labeled.label))
        random.append(labeled.is_random)
    if not any(random):
        raise TrainingError(f"{folder}: no face of the random sample is found")
    return _Faces(
        outputs=outputs_of(classifier, crops),
        truth=np.array(truth),
        random=np.array(random),
    )


def _loss(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    likelihood = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(likelihood, 1e-12)).mean())
