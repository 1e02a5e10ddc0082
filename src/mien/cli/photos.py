"""How ``analyze`` and ``batch`` process one photo."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mien.batch.paths import path_to_text
from mien.errors import ImageError
from mien.image.load import read_image_file
from mien.recognizer import Recognizer, failed
from mien.results import ImageResult

__all__ = ["AnalyzedPhoto", "analyze_photo"]


@dataclass(frozen=True, slots=True)
class AnalyzedPhoto:
    """The result of a photo.

    Attributes:
        result: With the photo's path as text, see ``path_to_text``.
        complaint: Why the photo could not be analyzed or its copy not be written; None on success.
    """

    result: ImageResult
    complaint: str | None = None


def analyze_photo(
    recognizer: Recognizer,
    path: str,
    source: Path | bytes,
    target: Path | None,
    save: Callable[[Image.Image, Path], None],
) -> AnalyzedPhoto:
    """Analyze a photo and write an annotated copy.

    Args:
        recognizer: Analyzes it.
        path: The path of the photo as the user gave it.
        source: The file, or its bytes.
        target: Path of the annotated copy; None for no copy.
        save: Writes the copy.
    """
    try:
        if target is not None and isinstance(source, Path):
            # Read once: the file may change meanwhile, or be a pipe.
            source = read_image_file(source)
        result = replace(recognizer.analyze(source), path=path_to_text(path))
        if target is None:
            return AnalyzedPhoto(result)
        annotated = result.annotate(source)
    except (ImageError, MemoryError) as error:
        result = failed(path_to_text(path), error)
        return AnalyzedPhoto(result, result.error.message if result.error else None)
    try:
        save(annotated, target)
    except (OSError, ValueError):  # Pillow reports some limits of a format so
        return AnalyzedPhoto(result, f"cannot write the annotated copy {target}")
    return AnalyzedPhoto(result)
