"""The classifier for any ONNX graph with a card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import Card, card_beside, load_card
from mien.classify.card import ModelSpec, Output, OutputKind
from mien.classify.detail import fine_detail
from mien.errors import ModelContractError
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider

__all__ = ["DEFAULT_MODEL", "OnnxClassifier", "load_classifier", "log_softmax"]

DEFAULT_MODEL = "emotion-mobilenet"
# Larger batches are split: they need more memory and take hardly less time.
MAX_BATCH = 4

Floats = NDArray[np.float32]


class OnnxClassifier:
    """Calibrated probabilities from a graph with one input, as described by its card.

    Attributes:
        card: The model's card.
        labels: The emotions that the model knows, in the order of the columns of ``predict``.
        crop: The crops that ``predict`` takes.
    """

    def __init__(self, session: OrtSession, card: Card) -> None:
        """Check the card and run one blank crop.

        Raises:
            ArtifactError: A value of the card is missing or wrong.
            ModelContractError: The graph's input or outputs do not match the card.
        """
        self._session = session
        self._spec = ModelSpec.from_card(card)
        self.card = card
        self.labels = self._spec.outputs[0].emotions
        self.crop = self._spec.crop
        self._check()

    def predict(self, crops: Floats) -> Floats:
        """Return (N, K) calibrated probabilities, columns as ``labels``.

        Args:
            crops: (N, *crop.shape) float32; N may be 0.

        Raises:
            ModelContractError: The graph's outputs have another shape.
        """
        # A graph that declares a batch of one gets one crop at a time.
        size = self._session.inputs[0].shape[0] or MAX_BATCH
        batches = [crops[at : at + size] for at in range(0, len(crops), size)]
        if not batches:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return np.concatenate(
            [self.probabilities(self.outputs(batch), self.fine_detail(batch)) for batch in batches]
        )

    def fine_detail(self, crops: Floats) -> Floats:
        """Return how much fine detail each crop has (N,)."""
        return fine_detail(crops, self.crop.layout)

    def probabilities(self, outputs: Sequence[Floats], detail: Floats) -> Floats:
        """Return calibrated probabilities (N, K) of the graph's outputs.

        Two outputs are blended as the weighted mean of their log-probabilities. The temperature is
        higher for blurred crops.
        Source: Guo et al. 2017, arXiv 1706.04599 (temperature scaling), eq. 9.

        Args:
            outputs: The graph's outputs for N crops.
            detail: (N,) as ``fine_detail`` returns it for these crops.
        """
        first, *others = self._spec.outputs
        scores = self.log_probabilities(outputs[0])
        for output, values in zip(others, outputs[1:], strict=False):
            scores += np.float32(output.share) * (
                _widened(self.log_probabilities(values), output, scores, first) - scores
            )
        return np.exp(log_softmax(scores / self._temperatures(detail)[:, np.newaxis]))

    def recalibrated(self, model: Mapping[str, Any]) -> "OnnxClassifier":
        """Return the same graph under other keys of the card's ``model`` table."""
        card = replace(self.card, model={**self.card.model, **model})
        return OnnxClassifier(self._session, card)

    def outputs(self, crops: Floats) -> list[Floats]:
        """Return all outputs of the graph for one batch.

        Raises:
            ModelContractError: An output that is used does not have the width on the card, is
                missing or contains NaN.
        """
        outputs = self._session.run({self._session.inputs[0].name: crops})
        expected = [(len(crops), len(output.emotions)) for output in self._spec.outputs]
        found = [output.shape for output in outputs[: len(expected)]]
        if found != expected:
            raise ModelContractError(
                f"{self.card.name}: by the labels of the card, outputs have the shape "
                f"{_listed(expected)}; those of the graph have {_listed(found)}"
            )
        if any(np.isnan(output).any() for output in outputs[: len(expected)]):
            raise ModelContractError(f"{self.card.name}: the outputs of the graph contain NaN")
        return outputs

    def _temperatures(self, detail: Floats) -> Floats:
        spec = self._spec
        blur = np.maximum(np.float32(spec.blur_threshold) / detail, 1)
        temperatures: Floats = spec.temperature * blur**spec.blur_exponent
        return temperatures

    def log_probabilities(self, values: Floats) -> Floats:
        """Return the logarithms of the probabilities (N, K) of one output, without calibration."""
        if self._spec.kind is OutputKind.PROBABILITIES:
            return np.log(np.maximum(values, np.finfo(np.float32).tiny))
        return log_softmax(values)

    def _check(self) -> None:
        """Run one blank crop, so that a graph that does not fit is refused at start."""
        inputs = self._session.inputs
        declared = inputs[0].shape if len(inputs) == 1 else ()
        fits = len(declared) == 4 and declared[0] in (None, 1)
        if not fits or any(
            size not in (None, wanted)
            for size, wanted in zip(declared[1:], self.crop.shape, strict=True)
        ):
            raise ModelContractError(
                f"{self.card.name}: by the card, the only input has the shape (N, "
                f"{', '.join(map(str, self.crop.shape))}); "
                f"the graph has {_listed([spec.shape for spec in inputs])}"
            )
        self.outputs(np.zeros((1, *self.crop.shape), dtype=np.float32))


def load_classifier(
    model_file: Path | None = None, *, threads: int = 1, providers: Sequence[Provider] = CPU
) -> OnnxClassifier:
    """Load the included model, or a file with its card in the same folder.

    Args:
        model_file: None: the model in the package.
        threads: As for OrtSession.
        providers: As for OrtSession.

    Raises:
        ArtifactError: The file or its card is missing, altered or invalid, or they do not match.
    """
    if model_file is None:
        card = load_card(DEFAULT_MODEL)
        file = next(name for name in card.files if name.endswith(".onnx"))
    else:
        card, file = card_beside(model_file), model_file.name
    return OnnxClassifier(OrtSession(card.read(file), threads=threads, providers=providers), card)


def log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities (N, K) of logits (N, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    scores: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return scores


def _widened(scores: Floats, output: Output, first: Floats, labels: Output) -> Floats:
    """Return an output's log-probabilities in the columns of the first output's labels.

    Labels that it does not know keep the first output's probability, and the others share the rest.
    """
    widened = first.copy()
    known = [labels.emotions.index(emotion) for emotion in output.emotions]
    rest = np.exp(first[:, known]).sum(axis=1, keepdims=True)
    widened[:, known] = log_softmax(scores) + np.log(rest)
    return widened


def _listed(shapes: Sequence[tuple[int | None, ...]]) -> str:
    return " and ".join(f"({', '.join(str(size or 'N') for size in shape)})" for shape in shapes)
