"""8-bit quantization of an exported model: a quarter of the size, and faster."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray

from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.runtime.ort import OrtSession
from mien_train.card import MODEL_FILE, new_card, read_card
from mien_train.data.fer2013 import FerDataset
from mien_train.errors import TrainingError
from mien_train.evaluate import crops_of_faces, score

# isort: split
# After mien, which switches its telemetry off.
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

__all__ = ["Gain", "compare", "quantize"]

# Ranges of activations are measured on this many training faces, in batches of this size.
FACES = 1024
BATCH = 32
RUNS = 50
# The first convolutions stay in floating point: they take little time, and lose most by integers.
# docs/training.md has the accuracies with 0 to 4 of them.
FLOAT_CONVOLUTIONS = 3
# Maximum loss of each accuracy.
MAX_LOSS = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Effect of the quantization.

    speed: how many times faster one face is on one thread; megabytes: before and after;
    accuracies: before and after, by label set.
    """

    speed: float
    megabytes: tuple[float, float]
    accuracies: dict[str, tuple[float, float]]

    @property
    def is_worth_it(self) -> bool:
        """Whether it is faster and loses at most 0.3 points of any accuracy."""
        losses = [before - after for before, after in self.accuracies.values()]
        return self.speed > 1 and max(losses) <= MAX_LOSS

    def __str__(self) -> str:
        parts = [f"{self.speed:.2f} times as fast", "{:.1f} -> {:.1f} MB".format(*self.megabytes)]
        parts += [
            f"{name} {before:.2%} -> {after:.2%}"
            for name, (before, after) in self.accuracies.items()
        ]
        return ", ".join(parts)


def quantize(model: Path, faces: FerDataset, folder: Path) -> Path:
    """Write the model with 8-bit weights and activations into ``folder``; return its path.

    The first ``FLOAT_CONVOLUTIONS`` keep their 32 bits.

    Weights have seven bits. Processors without VNNI add two products in 16 bits; with eight bits
    that sum could overflow, and such processors would give other results.
    Source: ONNX Runtime's notes on quantization (U8S8, reduced range).

    Args:
        model: ONNX file to quantize.
        faces: Training faces; the ranges of activations are measured on some of them.
        folder: Folder of the quantized model.

    Raises:
        TrainingError: There is a model in ``folder``.
    """
    path = folder / MODEL_FILE
    if path.exists() or path.is_symlink():
        raise TrainingError(f"{path} exists; choose another --out or delete it")
    chosen = np.random.default_rng(0).permutation(len(faces))[:FACES]
    crops = crops_of_faces(faces.faces[np.sort(chosen)], load_classifier(model).crop)
    name = OrtSession(model.read_bytes()).inputs[0].name
    folder.mkdir(parents=True, exist_ok=True)
    # quantize_static recommends pre-processing, which is done here.
    logging.getLogger().addFilter(lambda record: "pre-process" not in record.getMessage())
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch) / MODEL_FILE
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        convolutions = [node.name for node in nodes if node.op_type == "Conv"]
        quantize_static(
            str(prepared),
            str(path),
            _Crops(name, crops),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=convolutions[:FLOAT_CONVOLUTIONS],
        )
    _write_card(model, path)
    return path


def compare(before: Path, after: Path, data: FerDataset, usage: str) -> Gain:
    """Measure the effect of the quantization on ``data``."""
    models = load_classifier(before), load_classifier(after)
    first, second = (_accuracies(classifier, data, usage) for classifier in models)
    return Gain(
        speed=_speed(*models, crops_of_faces(data.faces[:1], models[0].crop)),
        megabytes=(before.stat().st_size / 1e6, after.stat().st_size / 1e6),
        accuracies={name: (first[name], second[name]) for name in first},
    )


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """Yields batches of crops under the name of the graph's input."""

    def __init__(self, name: str, crops: NDArray[np.float32]) -> None:
        self._batches: Iterator[NDArray[np.float32]] = iter(
            np.split(crops, range(BATCH, len(crops), BATCH))
        )
        self._input = name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._input: batch}


def _write_card(model: Path, path: Path) -> None:
    card = read_card(model.parent)
    about = {
        "description": f"{card['description']}, 8-bit integers",
        "licence": card["licence"],
        "source": f"{card['source']}; mien-train quantize",
        "data": card.get("data", "unknown"),
    }
    training = card.get("training")
    new_card(path, model=card["model"], about=about, training=training)


def _accuracies(classifier: OnnxClassifier, data: FerDataset, usage: str) -> dict[str, float]:
    scores = score(classifier, data, usage)
    tables = {"six labels": scores.six, "FER+": scores.ferplus, "FER2013": scores.fer2013}
    return {name: table.accuracy for name, table in tables.items() if table is not None}


def _speed(before: OnnxClassifier, after: OnnxClassifier, crop: NDArray[np.float32]) -> float:
    ratios = []
    for _ in range(RUNS):
        times = [time.perf_counter()]
        for classifier in (before, after):
            classifier.outputs(crop)
            times.append(time.perf_counter())
        ratios.append((times[1] - times[0]) / (times[2] - times[1]))
    return median(ratios)
