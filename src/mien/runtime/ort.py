"""ONNX Runtime sessions; the only importer of onnxruntime, whose telemetry is kept off.

From 1.29 on its builds for Linux too send what runs to their maker, and write to disk for it, from
the moment of their import. The variable prevents that; the call is for who imported it earlier.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mien.deadline import check_deadline
from mien.errors import ArtifactError, InvalidParameterError
from mien.runtime import TensorSpec
from mien.runtime.providers import CPU, PROVIDERS, Provider

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

onnxruntime.disable_telemetry_events()

__all__ = ["OrtSession"]

# A folder that can't be. A graph from memory would otherwise read its external data from wherever
# the process stands, and what is read so was never verified.
_NOWHERE = Path(os.devnull, "none")


class OrtSession:
    """A graph loaded from memory.

    threads: ONNX Runtime threads for one run. Parallel requests share the cores better with one
    thread each, so that is the default.
    dynamic_shapes: set where the input's size changes from run to run; a memory pattern per shape
    would only grow.
    providers: what it runs on, the first preferred; the CPU takes what others can't run.
    Raises ArtifactError if the bytes are not a graph that ONNX Runtime can run, or not all of it:
    external data is refused. Raises InvalidParameterError if a provider isn't there or won't start.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int = 1,
        dynamic_shapes: bool = False,
        providers: Sequence[Provider] = CPU,
    ) -> None:
        _require(providers)
        _share_memory()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_mem_pattern = not dynamic_shapes
        # Spinning threads would burn the cores that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(_NOWHERE)
        )
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=_with_options(providers, threads)
            )
        except Exception as error:  # ONNX Runtime raises plain pybind exceptions of many types
            if "External data" in str(error):
                raise ArtifactError(
                    "the model keeps data in other files; only what is in one file is run"
                ) from error
            raise ArtifactError(
                "the model file is not a graph that ONNX Runtime can run"
            ) from error
        _check_started(providers, self._session.get_providers())
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


@cache
def _share_memory() -> None:
    """Have all sessions of this process take their memory from one place.

    By itself each keeps the most that it ever took, doubled again and again: with pictures of
    all sizes that grows for long.
    """
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(place, as_requested)


def _require(providers: Sequence[Provider]) -> None:
    """Refuse providers that the installed build lacks; it would silently use the CPU."""
    there = onnxruntime.get_available_providers()
    for provider in providers:
        if provider.ort_name not in there:
            raise InvalidParameterError(
                f"the provider {provider.name} is not in the installed build of ONNX Runtime; "
                f"install {provider.package} in place of it, as docs/deploy.md says"
            )
    if PROVIDERS["cuda"] in providers:
        _load_cuda()


def _load_cuda() -> None:
    """Load CUDA from NVIDIA's Python packages; what is missing ONNX Runtime looks for itself."""
    # It prints what it doesn't find, and standard output is for results.
    with contextlib.redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()


def _with_options(providers: Sequence[Provider], threads: int) -> list[tuple[str, dict[str, str]]]:
    """Return what ONNX Runtime takes, the CPU last wherever it is not named."""
    options = {
        # Its threads are its own. Its usual precision is the processor's fastest, not the model's.
        "openvino": {"device_type": "CPU", "num_of_threads": str(threads), "precision": "FP32"}
    }
    named = [(provider.ort_name, options.get(provider.name, {})) for provider in providers]
    return named if CPU[0] in providers else [*named, (CPU[0].ort_name, {})]


def _check_started(providers: Sequence[Provider], started: Sequence[str]) -> None:
    for provider in providers:
        if provider.ort_name not in started:
            raise InvalidParameterError(
                f"the provider {provider.name} does not start here; it needs {provider.needs}"
            )


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(node.name, tuple(d if isinstance(d, int) else None for d in node.shape))
