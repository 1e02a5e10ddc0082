"""The detectors by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mien.detect import FaceDetector
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.yunet import YunetDetector
from mien.errors import InvalidParameterError

__all__ = ["DETECTORS", "DETECTORS_BY_FILE", "build_detector"]

# Those that bring their weights, and those whose file the user brings.
DETECTORS: Mapping[str, Callable[[], FaceDetector]] = {"mtcnn": MtcnnDetector}
DETECTORS_BY_FILE: Mapping[str, Callable[[Path], FaceDetector]] = {"yunet": YunetDetector}


def build_detector(name: str, model_file: Path | None = None) -> FaceDetector:
    """Return a ready detector.

    model_file: for detectors that bring no weights of their own.
    Raises InvalidParameterError for an unknown name, a file that the detector doesn't take or one
    that it lacks, and ArtifactError if its model is missing, altered or another network.
    """
    if name in DETECTORS_BY_FILE:
        if model_file is None:
            raise InvalidParameterError(
                f"the detector {name} needs its model file: --detector-model or MIEN_DETECTOR_MODEL"
            )
        return DETECTORS_BY_FILE[name](model_file)
    if name not in DETECTORS:
        known = ", ".join([*DETECTORS, *DETECTORS_BY_FILE])
        raise InvalidParameterError(f"no detector {name!r}; there are {known}")
    if model_file is not None:
        raise InvalidParameterError(f"the detector {name} brings its own model file")
    return DETECTORS[name]()
