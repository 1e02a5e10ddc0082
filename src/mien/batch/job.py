"""What is done with one photo, whichever engine does it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mien.batch.storage import is_uri, read
from mien.errors import ImageError, InvalidParameterError, UnreadableFileError
from mien.results import Cell

__all__ = ["Done", "Fetched", "Job", "PhotoWorker", "Tally", "fetch"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A photo as it was named, and where its bytes are: in a file, here, or out of reach."""

    path: str
    picture: Path | bytes | ImageError


def fetch(path: str) -> Fetched:
    """Read a photo that is not on this machine's disk; may be called ahead, from any thread."""
    if not is_uri(path):
        return Fetched(path, Path(path))
    try:
        return Fetched(path, read(path))
    except FileNotFoundError:
        return Fetched(path, UnreadableFileError("there is no such file"))
    except InvalidParameterError as error:
        return Fetched(path, UnreadableFileError(error.message))
    except (OSError, ValueError):
        return Fetched(path, UnreadableFileError("the file can't be read"))


@dataclass(frozen=True, slots=True)
class Done:
    """rows: of one photo; emotions: of its faces; failed: whether it, or writing its copy, did.

    seconds: spent on decoding, detection and classification.
    """

    rows: list[tuple[Cell, ...]]
    emotions: tuple[str, ...] = ()
    failed: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """What came of some photos. seconds: spent on decoding, detection and classification."""

    photos: int = 0
    failed: int = 0
    seconds: float = 0.0
    emotions: Counter[str] = field(default_factory=Counter)

    def add(self, done: Done) -> None:
        """Count a photo."""
        self.merge(Tally(1, int(done.failed), done.seconds, Counter(done.emotions)))

    def merge(self, other: "Tally") -> None:
        """Count what came of others, too."""
        self.photos += other.photos
        self.failed += other.failed
        self.seconds += other.seconds
        self.emotions.update(other.emotions)


class PhotoWorker(Protocol):
    """Holds one pipeline and works on one photo after the other."""

    def __call__(self, path: str) -> Done: ...

    def work(self, fetched: Fetched) -> Done:
        """Do what a call does with a photo that is there already."""
        ...


class Job(Protocol):
    """Travels to where the work is, and makes the worker there."""

    def __call__(self) -> PhotoWorker: ...

    def died(self, path: str) -> Done:
        """Return the rows of a photo whose process was killed by it."""
        ...
