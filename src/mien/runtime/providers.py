"""What ONNX Runtime may run graphs on: its execution providers, by the names that settings use."""

from collections.abc import Mapping
from dataclasses import dataclass

from mien.errors import InvalidParameterError

__all__ = ["CPU", "PROVIDERS", "Provider", "parse_providers"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to run graphs.

    name: in settings; ort_name: in ONNX Runtime; package: the build of ONNX Runtime that has it,
    of which only one can be installed; needs: what else has to be there for it to start.
    """

    name: str
    ort_name: str
    package: str
    needs: str


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("cpu", "CPUExecutionProvider", "onnxruntime", "nothing else"),
        Provider(
            "cuda",
            "CUDAExecutionProvider",
            "onnxruntime-gpu",
            "an NVIDIA GPU, its driver, CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        Provider(
            "openvino",
            "OpenVINOExecutionProvider",
            "onnxruntime-openvino",
            "a processor with AVX2 and the libraries of that package",
        ),
    )
}
CPU = (PROVIDERS["cpu"],)


def parse_providers(text: str) -> tuple[Provider, ...]:
    """Return the providers of a list such as ``cuda,cpu``, the first preferred.

    Raises InvalidParameterError for a name that is unknown or there twice, or for no name.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise InvalidParameterError(f"no provider {name!r}; there are {known}")
    if len(set(names)) < len(names):
        raise InvalidParameterError(f"providers names one twice: {text}")
    return tuple(PROVIDERS[name] for name in names)
