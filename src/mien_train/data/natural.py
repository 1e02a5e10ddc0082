"""Faces of everyday photos, labeled by eye and cropped as ``mien`` crops them.

A folder holds ``labels.csv`` (file, source, label, second, left, top, right, bottom) and
``faces.zip``. ``second`` is a second choice or empty; the four sides are the face's box in the
image's pixels, empty if the face fills the image.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.classify.crop import Square, crop_square, square_of_face
from mien.detect import FaceDetector
from mien.detect.registry import DEFAULT_DETECTOR, build_detector
from mien.errors import ImageError
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.types import Box, Face, RgbImage
from mien_train.csv_rows import csv_rows
from mien_train.data.fer2013 import (
    FERPLUS_LABELS,
    NO_LABEL,
    SIDE,
    FerDataset,
    no_votes,
)
from mien_train.data.packed import load_packed
from mien_train.errors import TrainingError
from mien_train.photos import match

__all__ = ["LABELS_NAME", "load_natural"]

LABELS_NAME = "labels.csv"

COLUMNS = ("file", "label", "second", "left", "top", "right", "bottom")
# Votes per face, as in FER+, and how many of them the second choice gets.
VOTES, SECOND_VOTES = 10, 3


def load_natural(folder: Path) -> FerDataset:
    """Read the faces with one of FER+'s eight emotions and skip others.

    They have votes but no FER2013 label, and all are Training. The folder may also be a packed
    file. Raises TrainingError if a file or a column is missing, or an image or box can't be read.
    """
    if folder.is_file():
        return load_packed(folder)
    detector = build_detector(DEFAULT_DETECTOR)
    faces, votes = [], []
    try:
        with zipfile.ZipFile(folder / "faces.zip") as archive:
            for _, row in csv_rows(folder / LABELS_NAME, COLUMNS):
                if row["label"] in FERPLUS_LABELS:
                    image = load_image(archive.read(row["file"]), max_pixels=MAX_PIXELS)
                    shades = crop_square(image, _square(image, row, detector), SIDE) * 255
                    faces.append(shades.round().astype(np.uint8))
                    votes.append(_votes(row))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ImageError) as error:
        raise TrainingError(f"{folder}: faces can't be read: {error}") from error
    if not faces:
        raise TrainingError(f"{folder}: no faces with one of {', '.join(FERPLUS_LABELS)}")
    return FerDataset(
        faces=np.stack(faces),
        fer2013=np.full(len(faces), NO_LABEL),
        votes=np.stack(votes),
        usage=np.full(len(faces), "Training"),
    )


def _square(image: RgbImage, row: Mapping[str, str], detector: FaceDetector) -> Square:
    """Return the square of the labeled face as detected, or else that of the labeled box."""
    box = Box(left=0.0, top=0.0, right=float(image.width), bottom=float(image.height))
    if row["left"]:
        box = Box(**{side: float(row[side]) for side in ("left", "top", "right", "bottom")})
    faces = detector.detect(image)
    index = match(box.xyxy, [face.box.xyxy for face in faces])
    return square_of_face(Face(box=box, score=0.0) if index is None else faces[index])


def _votes(row: Mapping[str, str]) -> NDArray[np.int64]:
    votes: NDArray[np.int64] = no_votes(1)[0]
    votes[FERPLUS_LABELS.index(row["label"])] = VOTES
    if row["second"] in FERPLUS_LABELS and row["second"] != row["label"]:
        votes[FERPLUS_LABELS.index(row["label"])] -= SECOND_VOTES
        votes[FERPLUS_LABELS.index(row["second"])] = SECOND_VOTES
    return votes
