"""mien finds the faces in an image and classifies their emotions.

    import mien

    for face in mien.analyze("party.jpg").faces:
        print(face.box, face.emotion, face.confidence)

``analyze`` is for single images. For many, build a ``Recognizer`` once. Public names are imported
on first use, so that ``import mien`` and ``mien --version`` do not wait for ONNX Runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mien._version import __version__

if TYPE_CHECKING:
    from mien.classify.labels import LabelSet
    from mien.errors import (
        ArtifactError,
        EmptyUploadError,
        ImageError,
        ImageTooLargeError,
        InvalidParameterError,
        MienError,
        ModelContractError,
        NotAnImageError,
        TruncatedImageError,
        UnreadableFileError,
        UnreadableVideoError,
        UnsupportedFormatError,
        VideoError,
        VideoTooLargeError,
        VideoUnavailableError,
    )
    from mien.options import Include, Options, Upright
    from mien.recognizer import Recognizer, analyze
    from mien.results import Failure, ImageResult
    from mien.types import (
        Box,
        Emotion,
        FaceEmotion,
        Landmarks,
        Quality,
        RgbImage,
        Timings,
    )

__all__ = [
    "ArtifactError",
    "Box",
    "Emotion",
    "EmptyUploadError",
    "FaceEmotion",
    "Failure",
    "ImageError",
    "ImageResult",
    "ImageTooLargeError",
    "Include",
    "InvalidParameterError",
    "LabelSet",
    "Landmarks",
    "MienError",
    "ModelContractError",
    "NotAnImageError",
    "Options",
    "Quality",
    "Recognizer",
    "RgbImage",
    "Timings",
    "TruncatedImageError",
    "UnreadableFileError",
    "UnreadableVideoError",
    "UnsupportedFormatError",
    "Upright",
    "VideoError",
    "VideoTooLargeError",
    "VideoUnavailableError",
    "__version__",
    "analyze",
]

# The modules that define the public names.
_MODULES = ("errors", "types", "classify.labels", "options", "results", "recognizer")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
    globals()[name] = next(getattr(module, name) for module in modules if hasattr(module, name))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
