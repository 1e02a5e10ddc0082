"""Score an exported model as ``mien`` serves it: same file, same crops, same calibration."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.crop import crops_of, region_of_picture
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier
from mien.types import RgbImage
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, FerDataset
from mien_train.metrics import Metrics, measure

BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a model says about N faces, before calibration.

    ferplus: (N, K) logits in the model's label order; fer2013: (N, 7) logits, None where the
    graph has no such output.
    """

    ferplus: NDArray[np.float32]
    fer2013: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The figures of one model on one usage and one view."""

    usage: str
    view: str
    ferplus: Metrics
    six: Metrics
    fer2013: Metrics | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards."""
        return {
            "usage": self.usage,
            "view": self.view,
            "ferplus": self.ferplus.to_dict(),
            "six": self.six.to_dict(),
            "fer2013": None if self.fer2013 is None else self.fer2013.to_dict(),
        }


def run_model(classifier: OnnxClassifier, data: FerDataset, *, flip: bool = False) -> Outputs:
    """Return the logits for every face; with ``flip`` the mean of a face and its mirror image."""
    batches = []
    for at in range(0, len(data), BATCH):
        crops = _crops(data.faces[at : at + BATCH], classifier.crop_size_px)
        outputs = classifier.outputs(crops)
        if flip:
            mirrored = classifier.outputs(np.ascontiguousarray(crops[..., ::-1]))
            outputs = [(a + b) / np.float32(2) for a, b in zip(outputs, mirrored, strict=True)]
        batches.append(outputs)
    heads = [np.concatenate(head) for head in zip(*batches, strict=True)]
    return Outputs(ferplus=heads[0], fer2013=heads[1] if len(heads) > 1 else None)


def score(
    classifier: OnnxClassifier, data: FerDataset, usage: str, *, flip: bool = False
) -> Scores:
    """Return the figures on ``data``: FER+ majority (8), the six of the product, FER2013 (7)."""
    outputs = run_model(classifier, data, flip=flip)
    probabilities = classifier.probabilities(outputs.ferplus)
    majority = data.ferplus_majority()
    return Scores(
        usage=usage,
        view="flip-averaged" if flip else "single",
        ferplus=_against(probabilities, classifier, LabelSet.EIGHT, majority),
        six=_against(probabilities, classifier, LabelSet.SIX, majority),
        fer2013=None
        if outputs.fer2013 is None
        else measure(_softmax(outputs.fer2013), data.fer2013, FER2013_LABELS),
    )


def _against(
    probabilities: NDArray[np.float32],
    classifier: OnnxClassifier,
    wanted: LabelSet,
    majority: NDArray[np.int64],
) -> Metrics:
    """Measure on the faces whose majority is one of the wanted labels."""
    names = tuple(emotion.value for emotion in wanted.emotions)
    position = np.array([names.index(n) if n in names else -1 for n in FERPLUS_LABELS] + [-1])
    truth = position[majority]
    counted = truth >= 0
    columns = narrow(probabilities[counted], classifier.labels, wanted.emotions)
    return measure(columns.astype(np.float64), truth[counted], names)


def _crops(faces: NDArray[np.uint8], size_px: int) -> NDArray[np.float32]:
    pictures = (RgbImage(np.repeat(face[:, :, None], 3, axis=2)) for face in faces)
    return np.concatenate(
        [crops_of(p, [region_of_picture(p.width, p.height)], size_px) for p in pictures]
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
