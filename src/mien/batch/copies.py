"""Where ``mien batch`` writes annotated copies of images."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from mien.batch.source import IMAGE_SUFFIXES, fixed_part
from mien.errors import InvalidParameterError
from mien.files import complete_file
from mien.image.encode import ENCODED_FORMATS

__all__ = ["AnnotatedCopies"]

_UP = "_up"
_JPG = re.compile(r"(\.jpg)+$", re.IGNORECASE)
_OTHER_SUFFIXES = IMAGE_SUFFIXES - ENCODED_FORMATS.keys()


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
        if (
            copy.suffix.lower() in ENCODED_FORMATS
            and original.suffix.lower() not in _OTHER_SUFFIXES
        ):
            return copy
        return copy.with_name(f"{copy.name}.jpg")

    @staticmethod
    def write(path: Path, data: bytes) -> None:
        """Write a copy, completely or not at all; it replaces the copy of an earlier run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # A list may name a photo twice, for two processes.
        with complete_file(path, path.with_name(f".{path.name}.{os.getpid()}")) as unfinished:
            unfinished.write_bytes(data)
