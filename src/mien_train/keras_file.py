"""Layers and weights out of a ``.keras`` file, without Keras and without running anything in it.

The file is a zip of config.json (the layers) and model.weights.h5. Weights are stored under the
layers' class names in snake case, numbered within each model. Source: Keras 3, keras.src.saving.
"""

import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mien_train.errors import TrainingError

__all__ = ["Layer", "read_layers"]

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# A VGG19 has 80 MB of weights.
MAX_BYTES = {CONFIG: 20_000_000, WEIGHTS: 1_000_000_000}
# What zipfile, json and h5py raise on damage, and the code below on what it did not expect.
_DAMAGE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)
MODELS = {"Functional", "Sequential", "Model"}

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layer:
    """kind: Keras' class name; config: its arguments; weights in Keras' order and layout."""

    kind: str
    config: dict[str, Any]
    weights: tuple[Weights, ...]

    @property
    def name(self) -> str:
        return str(self.config.get("name", self.kind))


def read_layers(path: Path) -> list[Layer]:
    """Return the layers of a sequential model; nested models are replaced by their layers.

    Raises:
        TrainingError: It is not a Keras file, it is damaged, or its layers do not form a chain.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_member(archive, CONFIG, path))
            stored = _member(archive, WEIGHTS, path)
        with h5py.File(io.BytesIO(stored), "r") as weights:
            return list(_layers(config, weights))
    except _DAMAGE as error:
        raise TrainingError(f"{path}: not a .keras file that can be read ({error})") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    size = archive.getinfo(name).file_size
    if size > MAX_BYTES[name]:
        raise TrainingError(f"{path}: {name} has {size:,} bytes, more than any model of this kind")
    return archive.read(name)


def _layers(model: dict[str, Any], weights: h5py.Group) -> Iterator[Layer]:
    """Yield the layers of a model whose weights lie in this group."""
    layers = model["config"]["layers"]
    _check_chain(layers)
    count: Counter[str] = Counter()
    for layer in layers:
        kind = str(layer["class_name"])
        name = _snake_case(kind)
        group = f"layers/{name}_{count[name]}" if count[name] else f"layers/{name}"
        count[name] += 1
        if kind in MODELS:
            yield from _layers(layer, weights[group])
        else:
            yield Layer(kind, dict(layer["config"]), tuple(_stored(weights, f"{group}/vars")))


def _check_chain(layers: list[dict[str, Any]]) -> None:
    """Refuse a graph in which a layer has another input than the layer before it."""
    for before, layer in pairwise(layers):
        # A Sequential has no connections, a Functional names them.
        names = re.findall(r'"keras_history": \["([^"]*)"', json.dumps(layer))
        inner = {inside["config"]["name"] for inside in layer["config"].get("layers", [])}
        if any(name != before["config"]["name"] for name in names if name not in inner):
            raise TrainingError(
                f"layer {layer['config'].get('name')} takes {', '.join(names)}: only chains of "
                "layers can be imported"
            )


def _stored(weights: h5py.Group, group: str) -> Iterator[Weights]:
    if group not in weights:
        return
    for index in range(len(weights[group])):
        data = weights[f"{group}/{index}"]
        # Data of a dataset may be declared to lie in any other file.
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise TrainingError(f"{group}/{index} is not plain data")
        yield np.asarray(data, dtype=np.float32)


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
