"""ONNX Runtime sessions, with telemetry switched off; the only importer of onnxruntime.

Since version 1.29 the Linux builds of ONNX Runtime send telemetry to their vendor and write files
for it, beginning at import. The environment variable below prevents that.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from mien.deadline import check_deadline
from mien.errors import ArtifactError, InvalidParameterError
from mien.runtime.providers import CPU, PROVIDERS, Provider

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["OrtSession", "TensorSpec"]

# A path that cannot exist. ONNX Runtime would otherwise read a graph's external data, which no card
# verifies, from the working directory.
_NO_FOLDER = Path(os.devnull, "none")
# The arena's first region is enough for what the default detector searches in most images. Other
# regions are freed after a run with a large input.
_ARENA_BYTES, _LARGE_INPUT_BYTES = 64 << 20, 8 << 20


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        name: Its name in the graph.
        shape: Its dimensions; None is a dynamic one.
    """

    name: str
    shape: tuple[int | None, ...]


class OrtSession:
    """A graph that ONNX Runtime runs; threads may share it.

    Attributes:
        inputs: In the order of the graph.
        outputs: In the order of the graph.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int = 1,
        dynamic_shapes: bool = False,
        providers: Sequence[Provider] = CPU,
    ) -> None:
        """Load a graph from memory.

        Args:
            model: An ONNX file.
            threads: Threads of one run. Parallel requests share the cores best with one thread
                each.
            dynamic_shapes: Whether the input's size changes between runs. ONNX Runtime would
                otherwise keep a memory pattern for each shape, and memory would grow.
            providers: Execution providers, the preferred one first. The CPU runs what they cannot.

        Raises:
            ArtifactError: ONNX Runtime cannot run the graph, or it keeps data in other files.
            InvalidParameterError: A provider is not in the installed build or does not start.
        """
        _check_available(providers)
        _share_arena()
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_mem_pattern = not dynamic_shapes
        # Spinning threads would take the cores from other requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(_NO_FOLDER)
        )
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=_with_options(providers, threads)
            )
        except Exception as error:  # ONNX Runtime raises plain pybind exceptions of many types
            if "External data" in str(error):
                raise ArtifactError(
                    "the model keeps data in other files; export it as one file"
                ) from error
            raise ArtifactError(
                "the model file is not a graph that ONNX Runtime can run"
            ) from error
        _check_started(providers, self._session.get_providers())
        self._on_cpu = tuple(providers) == CPU
        if self._on_cpu:
            # Kept by ONNX Runtime to change to the CPU if another provider fails.
            self._session._model_bytes = None
        self.inputs = tuple(map(_spec, self._session.get_inputs()))
        self.outputs = tuple(map(_spec, self._session.get_outputs()))

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the graph.

        Args:
            feeds: The array for each input, by name.

        Returns:
            All outputs, in the order of ``outputs``.

        Raises:
            DeadlineExceededError: The current deadline has passed.
        """
        check_deadline()
        options = None
        size = sum(array.nbytes for array in feeds.values())
        if self._on_cpu and size > _LARGE_INPUT_BYTES:
            options = _onnxruntime().RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return list(self._session.run(None, dict(feeds), options))


@cache
def _onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which takes 20 MB: processes without a model do without it."""
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        # Ctrl-C or SIGTERM while its C++ part is initialized.
        if isinstance(error.__cause__, (KeyboardInterrupt, SystemExit)):
            raise error.__cause__ from None
        raise
    # For programs that imported it before this module.
    onnxruntime.disable_telemetry_events()
    return onnxruntime  # type: ignore[no-any-return]


@cache
def _share_arena() -> None:
    """Register one memory arena for all sessions of this process.

    By default, each session has its own arena, which never shrinks. An arena that begins small
    grows by a region for each input that is larger than all before, and its earlier regions are too
    small to be reused. This arena therefore begins with a region for most images, and the next are
    larger; the system provides only the parts that are used.
    """
    onnxruntime = _onnxruntime()
    location = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    next_power_of_two = 0
    arena = onnxruntime.OrtArenaCfg(
        {
            "arena_extend_strategy": next_power_of_two,
            "initial_chunk_size_bytes": _ARENA_BYTES,
            "initial_growth_chunk_size_bytes": 2 * _ARENA_BYTES,
        }
    )
    onnxruntime.create_and_register_allocator(location, arena)


def _check_available(providers: Sequence[Provider]) -> None:
    """Refuse providers that the installed build lacks: ONNX Runtime would silently use the CPU."""
    available = _onnxruntime().get_available_providers()
    for provider in providers:
        if provider.ort_name not in available:
            raise InvalidParameterError(
                f"the installed build of ONNX Runtime lacks the provider {provider.name}; "
                f"install {provider.package} in place of it, see docs/gpu.md"
            )
    if PROVIDERS["cuda"] in providers:
        _load_cuda()


def _load_cuda() -> None:
    """Load CUDA libraries from NVIDIA's Python packages, if those are installed."""
    # It prints the libraries that it does not find, and standard output is for results.
    with contextlib.redirect_stdout(sys.stderr):
        _onnxruntime().preload_dlls()


def _with_options(providers: Sequence[Provider], threads: int) -> list[tuple[str, dict[str, str]]]:
    """Return names and options for ONNX Runtime, with the CPU last unless it was named."""
    options = {
        # OpenVINO has threads of its own. By default it computes in the processor's fastest
        # precision instead of the model's.
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
