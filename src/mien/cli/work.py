"""What ``mien batch`` does with one photo; travels to the processes that do it."""

import glob
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from mien.batch.job import Done, Fetched, fetch
from mien.cli.annotations import encoded
from mien.cli.photos import analyze_photo
from mien.errors import ImageError, InvalidParameterError
from mien.options import Include
from mien.recognizer import Recognizer, failed
from mien.results import Cell, ImageResult

__all__ = ["Copies", "PhotoJob"]

_UP = "_up"


@dataclass(frozen=True, slots=True)
class PhotoJob:
    """What a process needs to work on photos; called there once."""

    arguments: Mapping[str, Any]
    include: frozenset[Include]
    copies: "Copies | None"

    def __call__(self) -> "_Worker":
        return _Worker(Recognizer(**self.arguments), self)

    def died(self, path: str) -> Done:
        """Return the rows of a photo whose process was killed by it."""
        error = _CrashedError("the process that read the photo was killed, perhaps for memory")
        return self.failed(path, error)

    def failed(self, path: str, error: ImageError) -> Done:
        """Return the rows of a photo that can't be read."""
        return Done(self.rows(path, failed(path, error)), failed=True)

    def rows(self, path: str, result: ImageResult) -> list[tuple[Cell, ...]]:
        """Return the rows of a photo."""
        rows = replace(result, path=path).to_rows(self.arguments["labels"], self.include)
        return [tuple(row.values()) for row in rows]


@dataclass(frozen=True, slots=True)
class _Worker:
    recognizer: Recognizer
    job: PhotoJob

    def __call__(self, path: str) -> Done:
        return self.work(fetch(path))

    def work(self, fetched: Fetched) -> Done:
        path, picture = fetched.path, fetched.picture
        if isinstance(picture, ImageError):
            return self.job.failed(path, picture)
        target = self.job.copies.place(path) if self.job.copies else None
        outcome = analyze_photo(self.recognizer, path, picture, target, _save)
        rows = self.job.rows(path, outcome.result)
        emotions = tuple(face.emotion.value for face in outcome.result.faces)
        seconds = sum(asdict(outcome.result.seconds).values())
        return Done(rows, emotions, outcome.complaint is not None, seconds)


class _CrashedError(ImageError):
    """The process that worked on the photo died, twice."""

    code = "internal_error"


@dataclass(frozen=True, slots=True)
class Copies:
    """Where annotated copies go: under ``folder`` as the photos lie under ``root``.

    ``_up`` stands for the folder above: left out, copies from two folders could meet.
    """

    folder: Path
    root: Path

    @classmethod
    def of(cls, folder: Path, source: str) -> "Copies":
        root = Path(source) if Path(source).is_dir() else Path(_fixed_part(source))
        if Path(source).is_dir() and folder.resolve().is_relative_to(root.resolve()):
            raise InvalidParameterError("--annotate: the copies would become photos of the source")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(f"--annotate: can't make the folder {folder}") from error
        return cls(folder, root)

    def place(self, path: str) -> Path:
        """Return where a photo's copy goes; the same in every run."""
        try:
            relative = PurePath(os.path.relpath(path, self.root))
        except ValueError:  # from one drive of Windows to another there is no way
            relative = PurePath(path)
        parts = (part for part in relative.parts if part != relative.anchor)
        return self.folder.joinpath(*(_UP if part == ".." else part for part in parts))


def _fixed_part(source: str) -> str:
    """Return the folder of a manifest, or that of a glob before its first wildcard."""
    parts = Path(source).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(Path(*parts[:fixed])) if fixed else "."


def _save(picture: Image.Image, target: Path) -> None:
    """Write a copy as a whole or not at all; one of an earlier run is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(encoded(picture, target.suffix))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
