"""The task of a worker process for each image of a shard, and its result."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mien.batch.storage import is_uri, read
from mien.errors import ImageError, InvalidParameterError, UnreadableFileError

__all__ = ["ImageFile", "ImageOutcome", "ImageTask", "Progress", "open_image"]

# Failures listed in the summary.
_MAX_FAILURES = 5


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of the source.

    Attributes:
        path: As the source names it.
        content: The file on this machine, the bytes of one in a store, or why it cannot be read.
    """

    path: str
    content: Path | bytes | ImageError


def open_image(path: str) -> ImageFile:
    """Return an image of the source; one in a store is read. Thread-safe."""
    if not is_uri(path):
        return ImageFile(path, Path(path))
    try:
        return ImageFile(path, read(path))
    except FileNotFoundError:
        return ImageFile(path, UnreadableFileError("there is no such file"))
    except InvalidParameterError as error:
        return ImageFile(path, UnreadableFileError(error.message))
    except (OSError, ValueError):
        return ImageFile(path, UnreadableFileError("the file cannot be read"))


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """The records of an image for the table, and its counts for the summary.

    Attributes:
        records: Rows of the table, or an object of JSON lines.
        emotions: Emotions of its faces.
        failure: The path, and why the image could not be analyzed or its annotated copy not be
            written; None on success.
        seconds: Time in decoding, detection and classification.
    """

    records: list[Mapping[str, Any]]
    emotions: tuple[str, ...] = ()
    failure: str | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class Progress:
    """Totals over some images, and their first failures; see ``ImageOutcome``."""

    images: int = 0
    failed: int = 0
    seconds: float = 0.0
    emotions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, outcome: ImageOutcome) -> None:
        """Count one image."""
        failures = [outcome.failure] if outcome.failure else []
        emotions = Counter(outcome.emotions)
        self.merge(Progress(1, len(failures), outcome.seconds, emotions, failures))

    def merge(self, other: "Progress") -> None:
        """Add other totals."""
        self.images += other.images
        self.failed += other.failed
        self.seconds += other.seconds
        self.emotions.update(other.emotions)
        self.failures = [*self.failures, *other.failures][:_MAX_FAILURES]


class ImageTask(Protocol):
    """What to do with each image. It is pickled and sent to the worker processes."""

    def __call__(self) -> Callable[[ImageFile], ImageOutcome]:
        """Load the models; called once in each worker process."""
        ...

    def crashed(self, path: str) -> ImageOutcome:
        """Return the outcome of an image that ended its worker process."""
        ...
