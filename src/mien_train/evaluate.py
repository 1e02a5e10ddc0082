"""Score an exported model as ``mien`` serves it: same file, same crops, same calibration."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.crop import square_of_image
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier
from mien.classify.preprocess import CropSpec, Layout
from mien.types import RgbImage
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, FerDataset
from mien_train.errors import TrainingError
from mien_train.metrics import Metrics, measure

BATCH = 256
FERPLUS_TRUTH = "FER+ majority"
FER2013_TRUTH = "FER2013 label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Outputs of a model for N faces, before calibration.

    ferplus: (N, K) logits in the model's label order; fer2013: (N, 7) logits, None if the
    graph has no such output; detail: (N,) how much fine detail each crop has.
    """

    ferplus: NDArray[np.float32]
    fer2013: NDArray[np.float32] | None
    detail: NDArray[np.float32]

    def probabilities(self, classifier: OnnxClassifier) -> NDArray[np.float32]:
        """Return the calibrated probabilities (N, K), as ``mien`` returns them."""
        second = [] if self.fer2013 is None else [self.fer2013]
        return classifier.probabilities([self.ferplus, *second], self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Accuracy on faces with a nearly identical training face, and on others; 0 if none."""

    twins: int
    twins_accuracy: float
    others: int
    others_accuracy: float

    @classmethod
    def from_predictions(cls, right: NDArray[np.bool_], twin: NDArray[np.bool_]) -> "Twins":
        """Compute it from (N,) correct predictions and (N,) faces with a twin."""
        first, second = right[twin], right[~twin]
        return cls(
            twins=len(first),
            twins_accuracy=round(float(first.mean()), 4) if len(first) else 0.0,
            others=len(second),
            others_accuracy=round(float(second.mean()), 4) if len(second) else 0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Metrics of one model on one usage and one view.

    Attributes:
        view: ``single`` or ``flip-averaged``.
        six: Predictions of ``mien`` against ``six_truth``, for faces whose label is one of the six.
        ferplus: The FER+ output alone, 8 classes, against the FER+ majority; None without votes.
        fer2013: The FER2013 output alone, 7 classes, against the original labels; None if the model
            has no such output.
        twins: For each of the three by name, the accuracy on near-duplicates of training faces and
            on others; empty if the training faces are not known.
    """

    usage: str
    view: str
    six_truth: str
    six: Metrics
    ferplus: Metrics | None
    fer2013: Metrics | None
    twins: Mapping[str, Twins] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards."""
        return {
            "usage": self.usage,
            "view": self.view,
            "six_truth": self.six_truth,
            "six": self.six.to_dict(),
            "ferplus": None if self.ferplus is None else self.ferplus.to_dict(),
            "fer2013": None if self.fer2013 is None else self.fer2013.to_dict(),
            "twins": {name: asdict(twins) for name, twins in self.twins.items()} or None,
        }


def run_model(classifier: OnnxClassifier, data: FerDataset, *, flip: bool = False) -> Outputs:
    """Return the logits for every face; with ``flip`` the mean of a face and its mirror image."""
    parts = (data.faces[at : at + BATCH] for at in range(0, len(data), BATCH))
    return outputs_of(
        classifier, (crops_of_faces(faces, classifier.crop) for faces in parts), flip=flip
    )


def outputs_of(
    classifier: OnnxClassifier, batches: Iterable[NDArray[np.float32]], *, flip: bool = False
) -> Outputs:
    """Run the model on batches of crops (N, *crop.shape), as ``run_model`` does."""
    columns = 3 if classifier.crop.layout is Layout.NCHW else 2
    rows = []
    for crops in batches:
        outputs = classifier.outputs(crops)
        if flip:
            mirrored = classifier.outputs(np.ascontiguousarray(np.flip(crops, columns)))
            outputs = [(a + b) / np.float32(2) for a, b in zip(outputs, mirrored, strict=True)]
        rows.append([classifier.fine_detail(crops), *outputs])
    detail, ferplus, *rest = (np.concatenate(output) for output in zip(*rows, strict=True))
    return Outputs(ferplus=ferplus, fer2013=rest[0] if rest else None, detail=detail)


def truth_among(labels: tuple[str, ...], data: FerDataset) -> tuple[NDArray[np.int64], str]:
    """Return each face's true label (N,) as an index into ``labels``, and its source.

    -1 is any other label. The source is the FER+ majority, or the FER2013 label if there is no
    majority for any face.
    Raises TrainingError if no face has one of the labels.
    """
    majority, source = data.ferplus_majority(), FERPLUS_TRUTH
    truth = _positions(FERPLUS_LABELS, labels)[majority]
    if not (majority >= 0).any():
        truth, source = _positions(FER2013_LABELS, labels)[data.fer2013], FER2013_TRUTH
    if not (truth >= 0).any():
        raise TrainingError(f"no face's {source} is one of {', '.join(labels)}")
    return truth, source


def score(
    classifier: OnnxClassifier,
    data: FerDataset,
    usage: str,
    *,
    flip: bool = False,
    twin: NDArray[np.bool_] | None = None,
) -> Scores:
    """Return the metrics on ``data``.

    twin: (N,) whether a face has a near-identical training face; None if unknown.
    Raises TrainingError if no face has one of the six labels.
    """
    outputs = run_model(classifier, data, flip=flip)
    six, six_truth, in_six = _measured(
        outputs.probabilities(classifier), classifier, LabelSet.SIX, data
    )
    # The metrics by name, and which faces they count.
    measured = {"six": (six, in_six)}
    ferplus, ferplus_truth, in_ferplus = _measured(
        uncalibrated(classifier, outputs.ferplus), classifier, LabelSet.EIGHT, data
    )
    if ferplus_truth == FERPLUS_TRUTH:
        measured["ferplus"] = ferplus, in_ferplus
    # The only output of a model may have the FER2013 labels.
    fer2013 = outputs.ferplus if _labels(classifier) == FER2013_LABELS else outputs.fer2013
    if fer2013 is not None:
        probabilities = uncalibrated(classifier, fer2013).astype(np.float64)
        every = np.ones(len(data), dtype=np.bool_)
        measured["fer2013"] = measure(probabilities, data.fer2013, FER2013_LABELS), every
    metrics = {name: table for name, (table, _) in measured.items()}
    return Scores(
        usage=usage,
        view="flip-averaged" if flip else "single",
        six_truth=six_truth,
        six=six,
        ferplus=metrics.get("ferplus"),
        fer2013=metrics.get("fer2013"),
        twins={
            name: Twins.from_predictions(table.right, twin[counted])
            for name, (table, counted) in measured.items()
            if twin is not None
        },
    )


def _measured(
    probabilities: NDArray[np.float32],
    classifier: OnnxClassifier,
    wanted: LabelSet,
    data: FerDataset,
) -> tuple[Metrics, str, NDArray[np.bool_]]:
    """Return metrics on faces with a wanted label, the labels' source, and which faces."""
    names = tuple(emotion.value for emotion in wanted.emotions)
    truth, source = truth_among(names, data)
    counted = truth >= 0
    columns = narrow(probabilities[counted], classifier.labels, wanted.emotions)
    return measure(columns.astype(np.float64), truth[counted], names), source, counted


def _labels(classifier: OnnxClassifier) -> tuple[str, ...]:
    return tuple(label.value for label in classifier.labels)


def _positions(labels: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the position of each label in ``wanted``; the last entry maps -1 to -1."""
    return np.array([wanted.index(name) if name in wanted else -1 for name in labels] + [-1])


def crops_of_faces(faces: NDArray[np.uint8], crop: CropSpec) -> NDArray[np.float32]:
    """Return (N, *crop.shape) crops of faces (N, 48, 48), as ``mien`` makes them."""
    images = (RgbImage(np.repeat(face[:, :, None], 3, axis=2)) for face in faces)
    return np.concatenate(
        [crop.crops(image, [square_of_image(image.width, image.height)]) for image in images]
    )


def uncalibrated(classifier: OnnxClassifier, output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities (N, K) of one output of the model, without calibration."""
    return np.exp(classifier.log_probabilities(output))
