"""A data set in one file, which loads in a second and is small enough to copy."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien_train.data.fer2013 import SIDE, FerDataset
from mien_train.errors import TrainingError

__all__ = ["load_packed", "pack"]

# Faces per row of the image that holds all of them: as PNG they take 70 % of their bytes.
COLUMNS = 64


def pack(data: FerDataset, path: Path) -> None:
    """Write the data set to an ``.npz`` file.

    Raises TrainingError if the file exists or can't be written.
    """
    rows = -(-len(data) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, SIDE, SIDE), dtype=np.uint8)
    sheet[: len(data)] = data.faces
    lines = sheet.reshape(rows, COLUMNS, SIDE, SIDE).swapaxes(1, 2)
    buffer = io.BytesIO()
    Image.fromarray(lines.reshape(rows * SIDE, COLUMNS * SIDE)).save(buffer, "PNG")
    try:
        with path.open("xb") as file:
            np.savez(
                file,
                faces=np.frombuffer(buffer.getvalue(), dtype=np.uint8),
                fer2013=data.fer2013,
                votes=data.votes,
                usage=data.usage,
            )
    except OSError as error:
        raise TrainingError(f"{path} can't be written: {error}") from error


def load_packed(path: Path) -> FerDataset:
    """Read a file that ``pack`` wrote. Raises TrainingError if it is not one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return FerDataset(
                faces=_faces(arrays["faces"].tobytes(), len(arrays["usage"])),
                fer2013=arrays["fer2013"],
                votes=arrays["votes"],
                usage=arrays["usage"],
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} was not written by mien-train pack: {error}") from error


def _faces(png: bytes, count: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        sheet = np.asarray(image).reshape(-1, SIDE, COLUMNS, SIDE).swapaxes(1, 2)
    return sheet.reshape(-1, SIDE, SIDE)[:count]
