"""The detectors by name."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Protocol

from mien.detect import FaceDetector
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.yunet import YunetDetector
from mien.errors import InvalidParameterError
from mien.runtime.providers import CPU, Provider

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "DETECTORS_BY_FILE", "build_detector"]

DEFAULT_DETECTOR = "mtcnn"


class _Factory(Protocol):
    def __call__(self, *, providers: Sequence[Provider]) -> FaceDetector: ...


class _FactoryByFile(Protocol):
    def __call__(self, model_file: Path, /, *, providers: Sequence[Provider]) -> FaceDetector: ...


# Those that bring their weights, and those whose file the user brings.
DETECTORS: Mapping[str, _Factory] = {"mtcnn": MtcnnDetector}
DETECTORS_BY_FILE: Mapping[str, _FactoryByFile] = {"yunet": YunetDetector}


def build_detector(
    name: str, model_file: Path | None = None, *, providers: Sequence[Provider] = CPU
) -> FaceDetector:
    """Return a ready detector.

    model_file: for detectors that bring no weights of their own; providers: as for OrtSession.
    Raises InvalidParameterError for an unknown name, a file that the detector doesn't take or one
    that it lacks, or a provider that isn't there, and ArtifactError if its model is missing,
    altered or another network; TypeError for one whose class or function can't be called so.
    """
    if name in DETECTORS_BY_FILE:
        if model_file is None:
            raise InvalidParameterError(
                f"the detector {name} needs its model file: --detector-model or MIEN_DETECTOR_MODEL"
            )
        return _called(name, DETECTORS_BY_FILE[name], model_file, providers=providers)
    if name not in DETECTORS:
        known = ", ".join([*DETECTORS, *DETECTORS_BY_FILE])
        raise InvalidParameterError(f"no detector {name!r}; there are {known}")
    if model_file is not None:
        raise InvalidParameterError(f"the detector {name} brings its own model file")
    return _called(name, DETECTORS[name], providers=providers)


def _called(
    name: str, factory: Callable[..., FaceDetector], *file: Path, providers: Sequence[Provider]
) -> FaceDetector:
    try:
        signature(factory).bind(*file, providers=providers)
    except (TypeError, ValueError) as error:
        takes = "(model_file, *, providers)" if file else "(*, providers)"
        raise TypeError(f"the detector {name} must be made with {takes}: {error}") from error
    return factory(*file, providers=providers)
