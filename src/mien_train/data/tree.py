"""A folder tree of images, ``train/<emotion>/*.jpg``, another common form of FER2013.

Next to ``train`` there may be ``validation`` and ``test``; without ``validation``, a fifth of
``train`` is used, as in the baseline's split.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.classify.card import SYNONYMS
from mien.classify.crop import crop_square, square_of_image
from mien.errors import ImageError
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien_train.data.fer2013 import FER2013_LABELS, SIDE, FerDataset, no_votes
from mien_train.data.split import VALIDATION_SHARE, held_back
from mien_train.errors import TrainingError

__all__ = ["is_tree", "load_tree"]

TRAIN = "train"
USAGE_OF_FOLDER = {
    TRAIN: "Training",
    "validation": "PublicTest",
    "val": "PublicTest",
    "test": "PrivateTest",
}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def is_tree(folder: Path) -> bool:
    """Return whether the folder holds images by usage and emotion."""
    return (folder / TRAIN).is_dir()


def load_tree(folder: Path) -> FerDataset:
    """Read all images as 48 x 48 grey faces, cropped as in ``mien``.

    There are no FER+ votes. Raises TrainingError naming the folder or file for an emotion that
    FER2013 doesn't have, an unreadable image, or an empty usage.
    """
    faces, labels, usages = [], [], []
    for name, usage in USAGE_OF_FOLDER.items():
        for path, label in _images(folder / name):
            faces.append(_face(path))
            labels.append(label)
            usages.append(usage)
    if not faces:
        raise TrainingError(f"{folder}: no images in {TRAIN}/<emotion>/")
    data = FerDataset(
        faces=np.stack(faces),
        fer2013=np.array(labels, dtype=np.int64),
        votes=no_votes(len(faces)),
        usage=np.array(usages),
    )
    return data if "PublicTest" in usages else _with_validation(data)


def _images(part: Path) -> Iterator[tuple[Path, int]]:
    if not part.is_dir():
        return
    for folder in sorted(path for path in part.iterdir() if path.is_dir()):
        name = SYNONYMS.get(folder.name.lower(), folder.name.lower())
        if name not in FER2013_LABELS:
            raise TrainingError(f"{folder}: not an emotion of FER2013; allowed: {FER2013_LABELS}")
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield path, FER2013_LABELS.index(name)


def _face(path: Path) -> np.ndarray:
    try:
        image = load_image(path, max_pixels=MAX_PIXELS)
    except ImageError as error:
        raise TrainingError(f"{path}: {error.message}") from error
    crop = crop_square(image, square_of_image(image.width, image.height), SIDE)
    return np.rint(crop * 255).astype(np.uint8)


def _with_validation(data: FerDataset) -> FerDataset:
    rows = np.flatnonzero(data.usage == "Training")
    usage = data.usage.astype("<U11")
    usage[rows[held_back(data.fer2013[rows], VALIDATION_SHARE)]] = "PublicTest"
    return replace(data, usage=usage)
