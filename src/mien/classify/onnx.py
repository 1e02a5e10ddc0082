"""The classifier: an ONNX graph run as its card says."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import Card, card_beside, load_card
from mien.errors import ArtifactError, ModelContractError
from mien.runtime import InferenceSession
from mien.runtime.ort import OrtSession
from mien.types import Emotion

__all__ = ["DEFAULT_MODEL", "OnnxClassifier", "load_classifier"]

DEFAULT_MODEL = "emotion-lite0"
# Runs are cut into pieces of this many crops, so that a crowd does not need a crowd's memory.
MAX_BATCH = 64


class OnnxClassifier:
    """Calibrated probabilities from a graph with one input and logits as its first output."""

    def __init__(self, session: InferenceSession, card: Card) -> None:
        self._session = session
        self.card = card
        self.labels = _labels(card)
        self.crop_size_px = int(_positive(card, "input_size_px"))
        self._temperature = _positive(card, "temperature")
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
        return self.probabilities(np.concatenate([self.outputs(piece)[0] for piece in pieces]))

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, K) of the graph's logits (N, K)."""
        return _softmax(logits / np.float32(self._temperature))

    def outputs(self, crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return all outputs of the graph; the first are the logits (N, K).

        Raises ModelContractError if they are not.
        """
        outputs = self._session.run({self._session.inputs[0].name: crops})
        if outputs[0].shape != (len(crops), len(self.labels)):
            raise ModelContractError(
                f"{self.card.name}: the graph gave {outputs[0].shape} for {len(crops)} crops "
                f"and {len(self.labels)} labels"
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


def load_classifier(model_file: Path | None = None, *, threads: int = 1) -> OnnxClassifier:
    """Load the model in the wheel, or a file with its card beside it.

    Raises ArtifactError if the file or its card is missing, altered or not what it says.
    """
    if model_file is None:
        card = load_card(DEFAULT_MODEL)
        file = next(name for name in card.files if name.endswith(".onnx"))
    else:
        card, file = card_beside(model_file), model_file.name
    return OnnxClassifier(OrtSession(card.read(file), threads=threads), card)


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


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares
