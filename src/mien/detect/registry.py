"""The detectors by name."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from mien.detect import FaceDetector
from mien.detect.centerface import CenterFaceDetector
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.yunet import YunetDetector
from mien.errors import InvalidParameterError
from mien.plugins import DETECTOR_GROUP, find_plugin, plugin_names
from mien.runtime.providers import CPU, Provider

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "build_detector"]

DEFAULT_DETECTOR = "yunet"
DETECTORS: Mapping[str, Callable[..., FaceDetector]] = {
    "yunet": YunetDetector,
    "centerface": CenterFaceDetector,
    "mtcnn": MtcnnDetector,
}


def build_detector(
    name: str, model_file: Path | None = None, *, providers: Sequence[Provider] = CPU
) -> FaceDetector:
    """Return a ready detector.

    Args:
        name: One of DETECTORS, or the name of a plug-in: an entry point in the group
            ``mien.detectors`` that takes the keyword ``providers``, and ``model_file`` where one
            is given.
        model_file: ONNX file in place of the one in the package.
        providers: As for OrtSession.

    Raises:
        InvalidParameterError: The name is unknown, the detector takes no file, a plug-in cannot be
            loaded, or a provider is not available.
        ArtifactError: A model file is missing, altered, or another network.
    """
    factory = DETECTORS.get(name) or find_plugin(DETECTOR_GROUP, name)
    if factory is None:
        known = ", ".join([*DETECTORS, *plugin_names(DETECTOR_GROUP)])
        raise InvalidParameterError(f"no detector {name!r}; there are {known}")
    arguments: dict[str, Any] = {"providers": providers}
    if model_file is not None:
        if not _takes_a_file(factory):
            takers = ", ".join(each for each in DETECTORS if _takes_a_file(DETECTORS[each]))
            raise InvalidParameterError(
                f"the detector {name} takes no model file (detectors that do: {takers})"
            )
        arguments["model_file"] = model_file
    return factory(**arguments)


def _takes_a_file(factory: Callable[..., FaceDetector]) -> bool:
    parameters = signature(factory).parameters.values()
    return any(each.name == "model_file" or each.kind is each.VAR_KEYWORD for each in parameters)
