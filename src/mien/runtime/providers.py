"""The execution providers of ONNX Runtime that ``mien`` supports."""

from collections.abc import Mapping
from dataclasses import dataclass

from mien.errors import InvalidParameterError

__all__ = ["CPU", "PROVIDERS", "Provider", "parse_providers"]


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    Attributes:
        name: Its name in options and settings.
        ort_name: Its name in ONNX Runtime.
        package: The build of ONNX Runtime that has it. Only one build can be installed at a time.
        needs: What else it needs to start; for error messages.
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
    """Parse a list of providers such as ``cuda,cpu``.

    Args:
        text: Names separated by commas, the preferred one first.

    Raises:
        InvalidParameterError: A name is unknown or repeated, or there is none.
    """
    if not isinstance(text, str):
        raise InvalidParameterError(f"providers must be text such as 'cuda,cpu', not {text!r}")
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise InvalidParameterError(f"providers must be among {known}, not {name!r}")
    if len(set(names)) < len(names):
        raise InvalidParameterError(f"providers must name each one once, not twice: {text}")
    return tuple(PROVIDERS[name] for name in names)
