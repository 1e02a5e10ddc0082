"""Annotated copies of photos, in a folder of their own; no file is ever overwritten."""

import os
from io import BytesIO
from pathlib import Path

from PIL import Image

from mien.errors import InvalidParameterError

__all__ = ["AnnotationFolder", "encoded", "write_new"]

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_QUALITY = 92


def encoded(picture: Image.Image, suffix: str) -> bytes:
    """Return the picture as a file of that suffix, JPEG for those that are not written."""
    file = BytesIO()
    picture.save(file, _FORMATS.get(suffix.lower(), "JPEG"), quality=_QUALITY)
    return file.getvalue()


def write_new(target: Path, data: bytes) -> None:
    """Write a file where there is none. Raises OSError, leaving no part of it behind."""
    file = target.open("xb")
    try:
        with file:
            file.write(data)
    except OSError:
        # Closed by now: Windows deletes no file that is open.
        target.unlink()
        raise


class AnnotationFolder:
    """The folder that ``--annotate`` names; made if need be.

    Raises InvalidParameterError if it can't be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(f"--annotate: can't make the folder {folder}") from error
        if not os.access(folder, os.W_OK):
            raise InvalidParameterError(f"--annotate: no permission to write to {folder}")
        self._folder = folder
        self._given: set[str] = set()

    def reserve(self, photo: str) -> Path:
        """Return a new file for the photo: its name, or ``name-2``, ``name-3`` where that exists.

        Photos of the same name, earlier runs and the photos themselves are so left alone.
        """
        source = Path("stdin.jpg" if photo == "-" else photo)
        suffix = source.suffix if source.suffix.lower() in _FORMATS else ".jpg"
        number, name = 1, source.stem + suffix
        # Compared without case: some file systems keep one of Party.jpg and party.jpg.
        while name.casefold() in self._given or (self._folder / name).exists():
            number += 1
            name = f"{source.stem}-{number}{suffix}"
        self._given.add(name.casefold())
        return self._folder / name

    @staticmethod
    def save(picture: Image.Image, target: Path) -> None:
        """Write the picture in the format of the name. Raises OSError, leaving no file behind."""
        write_new(target, encoded(picture, target.suffix))
