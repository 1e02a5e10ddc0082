"""Convert a Keras model of the baseline's architecture to an ONNX file with its card.

The model takes 48 x 48 pixels of three equal channels, divided by 255, and has seven outputs in
FER2013's order.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien_train.card import MODEL_FILE, new_card
from mien_train.data.fer2013 import FER2013_LABELS, SIDE
from mien_train.errors import TrainingError
from mien_train.keras_file import Layer, read_layers

__all__ = ["import_keras"]

OPSET = 18
INPUT_SHAPE = [SIDE, SIDE, 3]
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
# Keras' names for the ways to fill up edges.
PADDING = {"same": "SAME_UPPER", "valid": "VALID"}


def import_keras(path: Path, folder: Path) -> Path:
    """Write ``model.onnx`` and ``card.toml`` into ``folder``; return the model's path.

    Raises TrainingError for a file that can't be read, or whose input, outputs or layers are
    others than expected; it says what was expected and what was found.
    """
    model = _Graph(read_layers(path)).model()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / MODEL_FILE
    target.write_bytes(model.SerializeToString())
    new_card(
        target,
        model={"size_px": SIDE, "labels": list(FER2013_LABELS), "temperature": 1.0},
        about={
            "description": f"imported from {path.name}",
            "licence": "unknown: ask the author of the file",
            "source": f"mien-train import {path.name}",
            "data": "unknown",
        },
    )
    return target


class _Graph:
    """A chain of ONNX nodes that grows by one Keras layer after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "crops"
        # What flows: maps (N, C, H, W), of which Keras sees (N, H, W, C), or rows (N, C).
        self.channels, self.maps = 3, True
        self.add("Concat", "crops", "crops", axis=1)
        for position, layer in enumerate(layers):
            self._layer(layer, is_last=position == len(layers) - 1)
        if self.maps or self.channels != len(FER2013_LABELS):
            found = "maps" if self.maps else f"{self.channels} numbers"
            raise TrainingError(
                f"expected {len(FER2013_LABELS)} outputs, one per label of FER2013, found {found}"
            )

    def add(self, kind: str, *more: str, **attributes: Any) -> None:
        output = f"{kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, [self.last, *more], [output], **attributes)
        self.nodes.append(node)
        self.last = output

    def constant(self, value: NDArray[np.float32]) -> str:
        name = f"weights_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def model(self) -> onnx.ModelProto:
        kind = TensorProto.FLOAT
        given = helper.make_tensor_value_info("crops", kind, ("faces", 1, SIDE, SIDE))
        made = helper.make_tensor_value_info(self.last, kind, ("faces", len(FER2013_LABELS)))
        graph = helper.make_graph(self.nodes, "keras", [given], [made], self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise TrainingError(f"the layers do not fit each other: {error}") from error
        return model

    def _layer(self, layer: Layer, *, is_last: bool) -> None:
        handlers: dict[str, Callable[[Layer], None]] = {
            "InputLayer": self._input,
            "Conv2D": self._convolution,
            "MaxPooling2D": lambda layer: self._pool(layer, "MaxPool"),
            "AveragePooling2D": lambda layer: self._pool(layer, "AveragePool"),
            "GlobalAveragePooling2D": lambda _: self._global_pool("GlobalAveragePool"),
            "GlobalMaxPooling2D": lambda _: self._global_pool("GlobalMaxPool"),
            "Flatten": lambda _: self._flatten(),
            "Dense": self._dense,
            "BatchNormalization": self._norm,
            "Activation": lambda _: None,
            "Dropout": lambda _: None,
        }
        if layer.kind not in handlers:
            raise TrainingError(
                f"layer {layer.name} is a {layer.kind}; these are known: {', '.join(handlers)}"
            )
        if layer.config.get("data_format", "channels_last") not in {"channels_last", None}:
            raise TrainingError(f"layer {layer.name}: expected channels_last")
        handlers[layer.kind](layer)
        self._activate(layer, is_last=is_last)

    def _input(self, layer: Layer) -> None:
        shape = list(layer.config.get("batch_shape") or [None])[1:]
        if shape != INPUT_SHAPE:
            raise TrainingError(f"expected an input of {INPUT_SHAPE}, found {shape}")

    def _convolution(self, layer: Layer) -> None:
        size, strides = layer.config["kernel_size"], layer.config["strides"]
        if layer.config.get("groups", 1) != 1 or layer.config.get("dilation_rate", [1, 1]) != [
            1,
            1,
        ]:
            raise TrainingError(f"layer {layer.name}: expected one group and no dilation")
        width = int(layer.config["filters"])
        kernel, *bias = self._weights(layer, (*size, self.channels, width), (width,))
        names = [self.constant(kernel.transpose(3, 2, 0, 1)), *map(self.constant, bias)]
        pads = PADDING[layer.config["padding"]]
        self.add("Conv", *names, kernel_shape=size, strides=strides, auto_pad=pads)
        self.channels = width

    def _pool(self, layer: Layer, kind: str) -> None:
        size = layer.config["pool_size"]
        pads = PADDING[layer.config["padding"]]
        strides = layer.config.get("strides") or size
        self.add(kind, kernel_shape=size, strides=strides, auto_pad=pads)

    def _global_pool(self, kind: str) -> None:
        self.add(kind)
        self._rows()

    def _rows(self) -> None:
        self.add("Flatten", axis=1)
        self.maps = False

    def _flatten(self) -> None:
        """Keras lays out maps with the channel last; how many pixels is known at the next layer."""
        if self.maps:
            self.add("Transpose", perm=[0, 2, 3, 1])
            self._rows()
            self.channels = 0

    def _dense(self, layer: Layer) -> None:
        if self.maps:
            raise TrainingError(f"layer {layer.name}: expected a pooling or Flatten before it")
        width = int(layer.config["units"])
        inputs = self.channels or (layer.weights[0].shape[0] if layer.weights else 0)
        kernel, *bias = self._weights(layer, (inputs, width), (width,))
        self.add("Gemm", self.constant(kernel), *map(self.constant, bias))
        self.channels = width

    def _norm(self, layer: Layer) -> None:
        shape = (self.channels,)
        if not (layer.config.get("scale", True) and layer.config.get("center", True)):
            raise TrainingError(f"layer {layer.name}: expected scale and center")
        parts = self._weights(layer, *[shape] * 4)
        epsilon = float(layer.config["epsilon"])
        self.add("BatchNormalization", *map(self.constant, parts), epsilon=epsilon)

    def _weights(self, layer: Layer, *shapes: tuple[int, ...]) -> list[NDArray[np.float32]]:
        """Return a layer's weights; the bias may be missing where the layer says so."""
        expected = shapes if layer.config.get("use_bias", True) else shapes[:1]
        found = tuple(weight.shape for weight in layer.weights)
        if found != expected:
            raise TrainingError(
                f"layer {layer.name}: expected weights of {expected}, found {found}"
            )
        return list(layer.weights)

    def _activate(self, layer: Layer, *, is_last: bool) -> None:
        """Add the layer's activation; the softmax at the end is ``mien``'s own."""
        kind = layer.config.get("activation", "linear")
        if kind in {"linear", None} or (kind == "softmax" and is_last):
            return
        if kind not in ACTIVATIONS:
            raise TrainingError(
                f"layer {layer.name}: activation {kind!r}; these are known: "
                f"{', '.join(ACTIVATIONS)}, linear, and softmax at the end"
            )
        self.add(ACTIVATIONS[kind])
