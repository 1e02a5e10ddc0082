"""The detectors by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mien.detect import FaceDetector
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.yunet import YunetDetector
from mien.errors import InvalidParameterError
from mien.runtime.providers import CPU, Provider

__all__ = ["DETECTORS", "DETECTORS_BY_FILE", "build_detector"]

# Those that bring their weights, and those whose file the user brings; all take ``providers``.
DETECTORS: Mapping[str, Callable[..., FaceDetector]] = {"mtcnn": MtcnnDetector}
DETECTORS_BY_FILE: Mapping[str, Callable[..., FaceDetector]] = {"yunet": YunetDetector}


def build_detector(
    name: str, model_file: Path | None = None, *, providers: Sequence[Provider] = CPU
) -> FaceDetector:
    """Return a ready detector.

    model_file: for detectors that bring no weights of their own; providers: as for OrtSession.
    Raises InvalidParameterError for an unknown name, a file that the detector doesn't take or one
    that it lacks, or a provider that isn't there, and ArtifactError if its model is missing,
    altered or another network.
    """
    if name in DETECTORS_BY_FILE:
        if model_file is None:
            raise InvalidParameterError(
                f"the detector {name} needs its model file: --detector-model or MIEN_DETECTOR_MODEL"
            )
        return DETECTORS_BY_FILE[name](model_file, providers=providers)
    if name not in DETECTORS:
        known = ", ".join([*DETECTORS, *DETECTORS_BY_FILE])
        raise InvalidParameterError(f"no detector {name!r}; there are {known}")
    if model_file is not None:
        raise InvalidParameterError(f"the detector {name} brings its own model file")
    return DETECTORS[name](providers=providers)
