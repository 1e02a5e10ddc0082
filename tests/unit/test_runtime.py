import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from mien.artifacts import load_card
from mien.errors import ArtifactError
from mien.runtime import ort
from mien.runtime.ort import OrtSession

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems free memory later")


@pytest.mark.parametrize("model", [b"", b"not a graph", b"\x08\x07" * 100])
def test_invalid_bytes_are_refused_without_the_librarys_message(model: bytes) -> None:
    with pytest.raises(ArtifactError) as refused:
        OrtSession(model)
    assert str(refused.value.__cause__) not in refused.value.message


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TensorProto:
    """A tensor whose numbers are in a file where the process stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(np.ones(4, dtype=np.float32).tobytes())
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def graph_of(weights: TensorProto, *, constant: bool) -> bytes:
    add = helper.make_node("Add", ["x", "weights"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph([add], "graph", ends[:1], ends[1:], [] if constant else [weights])
    if constant:
        graph.node.insert(0, helper.make_node("Constant", [], ["weights"], value=weights))
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return model.SerializeToString()


@pytest.mark.parametrize("constant", [False, True])
def test_data_in_other_files_is_refused(weights: TensorProto, constant: bool) -> None:
    where = weights.external_data[0]
    for where.value in ("weights.bin", f"../{Path.cwd().name}/weights.bin", str(Path.cwd())):
        with pytest.raises(ArtifactError):
            OrtSession(graph_of(weights, constant=constant))
    weights.ClearField("data_location")
    weights.ClearField("external_data")
    weights.raw_data = Path("weights.bin").read_bytes()
    OrtSession(graph_of(weights, constant=constant))


@pytest.mark.parametrize("signalled", [KeyboardInterrupt, SystemExit])
def test_a_signal_during_the_import_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, signalled: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise ImportError("initialization failed") from signalled()

    def missing(*_: object, **__: object) -> None:
        raise ImportError("no such library")

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", interrupted)
        with pytest.raises(signalled):
            ort._onnxruntime.__wrapped__()
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", missing)
        with pytest.raises(ImportError):
            ort._onnxruntime.__wrapped__()


def test_a_session_has_inputs_and_outputs() -> None:
    session = OrtSession(load_card("emotion-mobilenet").read("model.onnx"))
    assert [spec.shape for spec in session.inputs] == [(None, 1, 48, 48)]
    assert [spec.name for spec in session.outputs] == ["ferplus", "fer2013"]
    outputs = session.run({"crops": np.zeros((2, 1, 48, 48), dtype=np.float32)})
    assert [output.shape for output in outputs] == [(2, 8), (2, 7)]


def test_a_session_does_not_keep_the_file() -> None:
    model = load_card("emotion-mobilenet").read("model.onnx")
    references = sys.getrefcount(model)
    session = OrtSession(model)
    assert sys.getrefcount(model) == references
    assert session.inputs


def test_sessions_share_an_allocator() -> None:
    """Each would keep what it took for its largest picture, though one runs at a time."""
    nodes = [
        helper.make_node("Exp", ["x"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["y"], keepdims=0),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, []),
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    sessions = [OrtSession(model, dynamic_shapes=True) for _ in range(8)]
    numbers = np.zeros(10_000_000, dtype=np.float32)
    resident = []
    for session in sessions:
        session.run({"x": numbers})
        resident.append(psutil.Process().memory_info().rss)
    # What one run takes is 40 MB.
    assert resident[-1] - resident[0] < 100e6


def resident_bytes(sizes: list[tuple[int, int]]) -> list[int]:
    """Return the memory of a new process after an input of each size."""
    program = f"""
import numpy as np, psutil
from mien.artifacts import load_card
from mien.runtime.ort import OrtSession
session = OrtSession(load_card("yunet").read("model.onnx"), dynamic_shapes=True)
for size in {sizes}:
    session.run({{"input": np.zeros((1, 3, *size), dtype=np.float32)}})
    print(psutil.Process().memory_info().rss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return [int(line) for line in done.stdout.split()]


@linux
def test_inputs_of_growing_size_use_the_same_memory() -> None:
    resident = resident_bytes([(side, 512) for side in range(64, 833, 32)])
    # This takes 16 MB. With a new region of the arena for each size it took 188 MB.
    assert resident[-1] - resident[0] < 50e6


@linux
def test_memory_of_large_inputs_is_freed() -> None:
    small, *large = resident_bytes([(64, 64), *[(2048, 2048)] * 4])
    # The arena's first region stays: 67 MB. With the second one it was 205 MB.
    assert max(large) - small < 100e6
