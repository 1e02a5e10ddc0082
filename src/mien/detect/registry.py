"""The detectors by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mien.detect import FaceDetector
from mien.detect.mtcnn import MtcnnDetector
from mien.errors import InvalidParameterError

__all__ = ["DETECTORS", "build_detector"]

DETECTORS: Mapping[str, Callable[[], FaceDetector]] = {"mtcnn": MtcnnDetector}


def build_detector(name: str, model_file: Path | None = None) -> FaceDetector:
    """Return a ready detector.

    model_file: for detectors that bring no weights of their own.
    Raises InvalidParameterError for an unknown name or a file that the detector doesn't take, and
    ArtifactError if its model is missing or altered.
    """
    if name not in DETECTORS:
        raise InvalidParameterError(f"no detector {name!r}; there are {', '.join(DETECTORS)}")
    if model_file is not None:
        raise InvalidParameterError(f"the detector {name} brings its own model file")
    return DETECTORS[name]()
