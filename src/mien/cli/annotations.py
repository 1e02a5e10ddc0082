"""Annotated copies of photos in a folder; no existing file is overwritten."""

import os
from io import BytesIO
from pathlib import Path

from PIL import Image

from mien.errors import InvalidParameterError

__all__ = ["COPY_FORMATS", "AnnotationFolder", "encoded", "write_new"]

# Formats of copies by suffix; others become JPEG.
COPY_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_QUALITY = 92


def encoded(image: Image.Image, suffix: str) -> bytes:
    """Return the content of an image file.

    Args:
        image: The image.
        suffix: Decides the format: ``.png``, ``.webp``, or JPEG for every other.
    """
    file = BytesIO()
    image.save(file, COPY_FORMATS.get(suffix.lower(), "JPEG"), quality=_QUALITY)
    return file.getvalue()


def write_new(target: Path, data: bytes) -> None:
    """Write a new file, completely or not at all.

    Raises:
        OSError: It exists, or cannot be written.
    """
    file = target.open("xb")
    try:
        with file:
            file.write(data)
    except OSError:
        # After it is closed: Windows cannot delete open files.
        target.unlink()
        raise


class AnnotationFolder:
    """The folder of ``--annotate``, which is created if it does not exist.

    Raises:
        InvalidParameterError: It cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(f"--annotate: cannot make the folder {folder}") from error
        if not os.access(folder, os.W_OK):
            raise InvalidParameterError(f"--annotate: no permission to write to {folder}")
        self._folder = folder
        self._reserved: set[str] = set()

    def reserve(self, photo: str) -> Path:
        """Return the file for a photo's copy: its name, or ``name-2``, ``name-3`` if that exists.

        This keeps copies of photos with the same name, of earlier runs, and the photos themselves.
        """
        source = Path("stdin.jpg" if photo == "-" else photo)
        suffix = source.suffix if source.suffix.lower() in COPY_FORMATS else ".jpg"
        number, name = 1, source.stem + suffix
        # Some file systems ignore case: Party.jpg and party.jpg would be the same file.
        while name.casefold() in self._reserved or os.path.lexists(self._folder / name):
            number += 1
            name = f"{source.stem}-{number}{suffix}"
        self._reserved.add(name.casefold())
        return self._folder / name

    @staticmethod
    def save(image: Image.Image, target: Path) -> None:
        """Write a copy in the format of its name, whole or not at all. Raises OSError."""
        write_new(target, encoded(image, target.suffix))
