"""What ``mien batch`` does with each image; it is sent to the worker processes."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from mien.batch.copies import AnnotatedCopies
from mien.batch.paths import path_to_text
from mien.batch.storage import is_uri, read
from mien.errors import ImageError, InvalidParameterError, MienError, UnreadableFileError
from mien.image.encode import encoded
from mien.image.load import read_image_file
from mien.options import Include
from mien.recognizer import Recognizer, failed
from mien.results import ImageResult

__all__ = ["Content", "ImageTask", "Outcome", "Progress", "analyze_photo", "open_image"]

# Failures listed in the summary.
_MAX_FAILURES = 5


@dataclass(slots=True)
class Progress:
    """Totals over some images.

    Attributes:
        images: Number of images.
        failed: Number of those that could not be analyzed, or whose copy could not be written.
        seconds: Time in decoding, detection and classification.
        emotions: Emotions of their faces.
        failures: Path and reason of the first failures.
    """

    images: int = 0
    failed: int = 0
    seconds: float = 0.0
    emotions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def merge(self, other: "Progress") -> None:
        """Add other totals."""
        self.images += other.images
        self.failed += other.failed
        self.seconds += other.seconds
        self.emotions.update(other.emotions)
        self.failures = [*self.failures, *other.failures][:_MAX_FAILURES]


# A file on this machine, the bytes of one in a store, or why it cannot be read.
Content: TypeAlias = Path | bytes | ImageError
# The rows of an image, or its object of JSON Lines, and what the summary counts.
Outcome: TypeAlias = tuple[list[Mapping[str, Any]], Progress]


def open_image(path: str) -> Content:
    """Return an image of the source; one in a store is read. Thread-safe."""
    if not is_uri(path):
        return Path(path)
    try:
        return read(path)
    except FileNotFoundError:
        return UnreadableFileError("there is no such file")
    except InvalidParameterError as error:
        return UnreadableFileError(error.message)
    except (OSError, ValueError):
        return UnreadableFileError("the file cannot be read")


@dataclass(frozen=True, slots=True)
class ImageTask:
    """Analyzes images and writes annotated copies.

    Attributes:
        arguments: Keyword arguments of ``Recognizer``.
        include: Optional keys of each face.
        copies: Where annotated copies are written; None: nowhere.
        as_objects: Whether each image becomes one object, as in JSON Lines, instead of table rows.
    """

    arguments: Mapping[str, Any]
    include: frozenset[Include]
    copies: AnnotatedCopies | None
    as_objects: bool

    def __call__(self) -> Callable[[str, Content], Outcome]:
        """Load the models; called once in each worker process."""
        return partial(self._analyzed, Recognizer(**self.arguments))

    def crashed(self, path: str) -> Outcome:
        """Return the outcome of an image that ended its worker process."""
        crash = "the worker process ended while it analyzed the image (out of memory?)"
        return self._outcome(failed(path_to_text(path), MienError(crash)), crash)

    def _analyzed(self, recognizer: Recognizer, path: str, content: Content) -> Outcome:
        if isinstance(content, ImageError):
            return self._outcome(failed(path_to_text(path), content), content.message)
        target = self.copies.place(path) if self.copies else None
        return self._outcome(
            *analyze_photo(recognizer, path, content, target, AnnotatedCopies.write)
        )

    def _outcome(self, result: ImageResult, complaint: str | None) -> Outcome:
        records: list[Mapping[str, Any]] = (
            [result.to_dict(self.include)]
            if self.as_objects
            else [*result.to_rows(self.arguments["labels"], self.include)]
        )
        failures = [f"{result.path}: {complaint}"] if complaint else []
        return records, Progress(
            images=1,
            failed=len(failures),
            seconds=sum(asdict(result.seconds).values()),
            emotions=Counter(face.emotion.value for face in result.faces),
            failures=failures,
        )


def analyze_photo(
    recognizer: Recognizer,
    path: str,
    source: Path | bytes,
    target: Path | None,
    write: Callable[[Path, bytes], None],
) -> tuple[ImageResult, str | None]:
    """Analyze a photo and write an annotated copy, also for ``mien analyze``.

    Args:
        recognizer: Analyzes it.
        path: The path of the photo as the user gave it.
        source: The file, or its bytes.
        target: Path of the annotated copy; None for no copy.
        write: Writes the copy.

    Returns:
        The result, with the path as text (see ``path_to_text``), and why the photo could not be
        analyzed or its copy not be written; None on success.
    """
    try:
        if target is not None and isinstance(source, Path):
            # Read once: the file may change meanwhile, or be a pipe.
            source = read_image_file(source)
        result = replace(recognizer.analyze(source), path=path_to_text(path))
        annotated = None if target is None else result.annotate(source)
    except (ImageError, MemoryError) as error:
        result = failed(path_to_text(path), error)
        return result, str(result.error)
    try:
        if target is not None and annotated is not None:
            write(target, encoded(annotated, target.suffix))
    except (OSError, ValueError):  # Pillow reports some limits of a format so
        return result, f"cannot write the annotated copy {target}"
    return result, None
