"""The classifier: an ONNX graph run as its card says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import Card, card_beside, load_card
from mien.errors import ArtifactError, ModelContractError
from mien.runtime import InferenceSession
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import Emotion

__all__ = ["DEFAULT_MODEL", "OnnxClassifier", "load_classifier", "log_softmax"]

DEFAULT_MODEL = "emotion-lite0"
# Runs are cut into pieces of this many crops, so that a crowd does not need a crowd's memory.
MAX_BATCH = 64


class OnnxClassifier:
    """Calibrated probabilities from a graph with one input and logits as its first output.

    A second output may hold logits in another label set, learned from other labels of the same
    faces; the card then gives its labels and its share in the answer.
    """

    def __init__(self, session: InferenceSession, card: Card) -> None:
        self._session = session
        self.card = card
        self.labels = _labels(card)
        self.crop_size_px = int(_positive(card, "input_size_px"))
        self._temperature = _positive(card, "temperature")
        self._second = _SecondHead.of(card, self.labels)
        self._check()

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K) probabilities, columns in card order.

        crops: (N, 1, S, S) float32 in [0, 1]; N may be 0.
        Raises ModelContractError if the graph's output is not (N, K).
        Source: Guo et al. 2017, arXiv 1706.04599 (temperature scaling), eq. 9.
        """
        pieces = [crops[at : at + MAX_BATCH] for at in range(0, len(crops), MAX_BATCH)]
        if not pieces:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return np.concatenate([self.probabilities(self.outputs(piece)) for piece in pieces])

    def probabilities(self, outputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, K) of the graph's outputs."""
        scores = log_softmax(outputs[0])
        if self._second is not None:
            scores = self._second.blended(scores, outputs[1])
        return np.exp(log_softmax(scores / np.float32(self._temperature)))

    def recalibrated(self, model: Mapping[str, Any]) -> "OnnxClassifier":
        """Return the same graph under other keys of the card's ``model`` table."""
        card = replace(self.card, model={**self.card.model, **model})
        return OnnxClassifier(self._session, card)

    def outputs(self, crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return all outputs of the graph; the first are the logits (N, K).

        Raises ModelContractError if they are not, or if a second that takes part is of other width
        than the card says, or missing.
        """
        outputs = self._session.run({self._session.inputs[0].name: crops})
        widths = [len(self.labels)] + ([self._second.width] if self._second else [])
        shapes = [output.shape for output in outputs[: len(widths)]]
        if shapes != [(len(crops), width) for width in widths]:
            raise ModelContractError(
                f"{self.card.name}: the graph gave {', '.join(map(str, shapes))} for "
                f"{len(crops)} crops and {' and '.join(map(str, widths))} labels"
            )
        return outputs

    def _check(self) -> None:
        """Run one blank crop, so that a foreign graph is refused at start."""
        inputs = self._session.inputs
        expected = (1, self.crop_size_px, self.crop_size_px)
        if len(inputs) != 1 or inputs[0].shape[1:] != expected or inputs[0].shape[0] is not None:
            raise ModelContractError(
                f"{self.card.name}: expected one input (N, {', '.join(map(str, expected))}), "
                f"the graph has {[spec.shape for spec in inputs]}"
            )
        self.outputs(np.zeros((1, *expected), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class _SecondHead:
    """How a second output takes part: its column for each label, -1 for none, and its share.

    width: how many columns it has.
    """

    width: int
    columns: tuple[int, ...]
    share: float

    @classmethod
    def of(cls, card: Card, labels: tuple[Emotion, ...]) -> "_SecondHead | None":
        names = card.model.get("second_labels", [])
        share = card.model.get("second_share", 0.0)
        if not names or not share:
            return None
        if not 0 < share <= 1 or not set(names) <= {label.value for label in labels}:
            raise ArtifactError(f"{card.name}: the card's second_labels or second_share is wrong")
        columns = tuple(names.index(e.value) if e.value in names else -1 for e in labels)
        return cls(len(names), columns, float(share))

    def blended(
        self, first: NDArray[np.float32], logits: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the weighted mean of log-probabilities (N, K) with those of the second output.

        A label that the second output doesn't know keeps its first probability there too, and the
        others share what that leaves.
        """
        known = np.array(self.columns) >= 0
        second = first.copy()
        rest = np.exp(first[:, known]).sum(axis=1, keepdims=True)
        second[:, known] = log_softmax(logits)[:, np.array(self.columns)[known]] + np.log(rest)
        blend: NDArray[np.float32] = first + np.float32(self.share) * (second - first)
        return blend


def load_classifier(
    model_file: Path | None = None, *, threads: int = 1, providers: Sequence[Provider] = CPU
) -> OnnxClassifier:
    """Load the model in the wheel, or a file with its card beside it.

    threads, providers: as for OrtSession.
    Raises ArtifactError if the file or its card is missing, altered or not what it says.
    """
    if model_file is None:
        card = load_card(DEFAULT_MODEL)
        file = next(name for name in card.files if name.endswith(".onnx"))
    else:
        card, file = card_beside(model_file), model_file.name
    return OnnxClassifier(OrtSession(card.read(file), threads=threads, providers=providers), card)


def _labels(card: Card) -> tuple[Emotion, ...]:
    names = card.model.get("labels", [])
    try:
        labels = tuple(Emotion(name) for name in names)
    except ValueError as error:
        raise ArtifactError(f"{card.name}: an unknown label on the card: {names}") from error
    if not labels or len(set(labels)) != len(labels):
        raise ArtifactError(f"{card.name}: the card needs a list of distinct labels")
    return labels


def _positive(card: Card, key: str) -> float:
    value = card.model.get(key)
    if not isinstance(value, int | float) or value <= 0:
        raise ArtifactError(f"{card.name}: the card's {key} must be a number greater than 0")
    return float(value)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-probabilities (N, K) of logits (N, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    scores: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return scores
