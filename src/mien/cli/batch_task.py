"""What ``mien batch`` does with each image; it is sent to the worker processes."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from mien.batch.paths import path_to_text
from mien.batch.source import IMAGE_SUFFIXES, fixed_part
from mien.batch.task import ImageFile, ImageOutcome
from mien.cli.annotations import COPY_FORMATS, encoded
from mien.cli.photos import analyze_photo
from mien.errors import ImageError, InvalidParameterError, MienError
from mien.options import Include
from mien.recognizer import Recognizer, failed
from mien.results import ImageResult

__all__ = ["AnnotatedCopies", "BatchTask"]

_UP = "_up"
_JPG = re.compile(r"(\.jpg)+$", re.IGNORECASE)
_OTHER_SUFFIXES = IMAGE_SUFFIXES - COPY_FORMATS.keys()


@dataclass(frozen=True, slots=True)
class BatchTask:
    """Analyzes images and writes annotated copies.

    Attributes:
        arguments: Keyword arguments of ``Recognizer``.
        include: Optional keys of each face.
        copies: Where annotated copies are written; None: nowhere.
        as_objects: Whether each image becomes one object, as in JSON Lines, instead of table rows.
    """

    arguments: Mapping[str, Any]
    include: frozenset[Include]
    copies: "AnnotatedCopies | None"
    as_objects: bool

    def __call__(self) -> Callable[[ImageFile], ImageOutcome]:
        recognizer = Recognizer(**self.arguments)
        return lambda file: self._analyzed(recognizer, file)

    def crashed(self, path: str) -> ImageOutcome:
        crash = "the worker process ended while it analyzed the image (out of memory?)"
        return self._failed(path, MienError(crash))

    def _analyzed(self, recognizer: Recognizer, file: ImageFile) -> ImageOutcome:
        if isinstance(file.content, ImageError):
            return self._failed(file.path, file.content)
        target = self.copies.place(file.path) if self.copies else None
        outcome = analyze_photo(recognizer, file.path, file.content, target, _save)
        result = outcome.result
        return ImageOutcome(
            self._records(result),
            emotions=tuple(face.emotion.value for face in result.faces),
            failure=outcome.complaint and f"{result.path}: {outcome.complaint}",
            seconds=sum(asdict(result.seconds).values()),
        )

    def _failed(self, path: str, error: MienError) -> ImageOutcome:
        result = failed(path_to_text(path), error)
        return ImageOutcome(self._records(result), failure=f"{result.path}: {error.message}")

    def _records(self, result: ImageResult) -> list[Mapping[str, Any]]:
        if self.as_objects:
            return [result.to_dict(self.include)]
        return [*result.to_rows(self.arguments["labels"], self.include)]


@dataclass(frozen=True, slots=True)
class AnnotatedCopies:
    """Paths of annotated copies, in the same subfolders of ``folder`` as the images in ``root``.

    The folder ``_up`` replaces ``..``, so that images of different folders have different copies.
    """

    folder: Path
    root: Path

    @classmethod
    def of_source(cls, folder: Path, source: str, *, resume: bool) -> "AnnotatedCopies":
        """Create the folder, and return the paths for the images of a source.

        Args:
            folder: Folder of the copies.
            source: Source of the images.
            resume: Whether the folder may hold copies of an earlier run, which are replaced.

        Raises:
            InvalidParameterError: The folder cannot be made, is part of the source, or holds files
                that copies could replace.
        """
        is_folder = os.path.isdir(source)  # noqa: PTH112 -- Path.is_dir raises OSErrors
        root = Path(source) if is_folder else Path(fixed_part(source))
        if folder.resolve() == root.resolve():
            raise InvalidParameterError(
                f"--annotate: {folder} holds the photos, so copies would replace them: choose "
                "another folder"
            )
        if (is_folder or "**" in source) and folder.resolve().is_relative_to(root.resolve()):
            raise InvalidParameterError(
                f"--annotate: {folder} is inside {source}, so the copies would be analyzed too: "
                "choose a folder outside of it"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            is_empty = not any(folder.iterdir())
        except OSError as error:
            raise InvalidParameterError(f"--annotate: cannot make the folder {folder}") from error
        if not (is_empty or resume):
            raise InvalidParameterError(
                f"--annotate: {folder} is not empty, and copies could replace its files: choose "
                "another folder"
            )
        return cls(folder, root)

    def place(self, path: str) -> Path:
        """Return the path of an image's copy, which is the same in every run."""
        try:
            relative = PurePath(os.path.relpath(path, self.root))
        except ValueError:  # Windows: the image is on another drive
            relative = PurePath(path)
        parts = (part for part in relative.parts if part != relative.anchor)
        copy = self.folder.joinpath(*(_UP if part == ".." else part for part in parts))
        # a.gif becomes a.gif.jpg, so a.gif.jpg becomes a.gif.jpg.jpg.
        original = Path(_JPG.sub("", copy.name))
        if copy.suffix.lower() in COPY_FORMATS and original.suffix.lower() not in _OTHER_SUFFIXES:
            return copy
        return copy.with_name(f"{copy.name}.jpg")


def _save(image: Image.Image, target: Path) -> None:
    """Write a copy, completely or not at all; it replaces the copy of an earlier run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(encoded(image, target.suffix))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
