"""Remove a fixed image size from a graph."""

import contextlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mien.errors import ArtifactError
from mien.runtime.freesize import with_free_size
from mien.runtime.ort import OrtSession


def graph() -> bytes:
    """Halve an image of 64 x 64; sizes are declared everywhere."""
    pictures = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, side, side])
        for name, side in (("pixels", 64), ("halved", 32), ("doubled", 32))
    ]
    nodes = [
        helper.make_node("MaxPool", ["pixels"], ["halved"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["halved", "halved"], ["doubled"]),
    ]
    made = helper.make_graph(nodes, "g", pictures[:1], pictures[2:], value_info=pictures[1:2])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="x" * 300)
    return model.SerializeToString()


def test_a_freed_graph_accepts_any_size() -> None:
    session = OrtSession(with_free_size(graph()))
    assert session.inputs[0].shape == (1, 3, None, None)
    for height, width in ((64, 64), (10, 200)):
        pixels = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
        (halved,) = session.run({"pixels": pixels})
        assert halved.shape == (1, 3, height // 2, width // 2)
    with pytest.raises(Exception, match="64"):
        OrtSession(graph()).run({"pixels": pixels})


def test_other_fields_are_unchanged() -> None:
    before, after = onnx.load_from_string(graph()), onnx.load_from_string(with_free_size(graph()))
    assert after.graph.node == before.graph.node
    assert after.producer_name == before.producer_name
    assert after.opset_import == before.opset_import


@pytest.mark.parametrize("cut", [1, 5, 20, 60, 150])
def test_truncated_files_are_refused(cut: int) -> None:
    data = graph()
    with pytest.raises(ArtifactError):
        OrtSession(with_free_size(data[:-cut]))


@pytest.mark.parametrize(
    "data", [b"\x00\x00", b"\xff" * 30, b"\x3a\x05\x5a\x50", b"\x0f", b"\x3b", b"hello"]
)
def test_invalid_protobuf_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        OrtSession(with_free_size(data))


def test_random_damage_is_refused_without_a_crash() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(graph())
        for place in random.integers(0, len(data), 3):
            data[place] = random.integers(0, 256)
        with contextlib.suppress(ArtifactError):
            with_free_size(bytes(data))
