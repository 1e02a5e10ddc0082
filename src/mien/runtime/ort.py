"""ONNX Runtime sessions; the only importer of onnxruntime."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from mien.deadline import check_deadline
from mien.errors import ArtifactError
from mien.runtime import TensorSpec

__all__ = ["OrtSession"]


class OrtSession:
    """A graph loaded from memory, on the CPU.

    threads: ONNX Runtime threads for one run. Parallel requests share the cores better with one
    thread each, so that is the default.
    dynamic_shapes: set where the input's size changes from run to run; a memory pattern per shape
    would only grow.
    Raises ArtifactError if the bytes are not a graph that ONNX Runtime can run.
    """

    def __init__(self, model: bytes, *, threads: int = 1, dynamic_shapes: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_mem_pattern = not dynamic_shapes
        # Spinning threads would burn the cores that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises plain pybind exceptions of many types
            raise ArtifactError(
                "the model file is not a graph that ONNX Runtime can run"
            ) from error
        self._inputs = tuple(map(_spec, self._session.get_inputs()))
        self._outputs = tuple(map(_spec, self._session.get_outputs()))

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        return self._outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        check_deadline()
        return list(self._session.run(None, dict(feeds)))


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(node.name, tuple(d if isinstance(d, int) else None for d in node.shape))
