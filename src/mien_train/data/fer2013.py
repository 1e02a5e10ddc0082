"""FER2013 (Kaggle's columns) and FER+ votes as arrays, checked row by row.

Source: Goodfellow et al. 2013 (FER2013); Barsoum et al. 2016, arXiv 1608.01041 (FER+ protocol).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien_train.csv_rows import csv_rows
from mien_train.errors import TrainingError

SIDE = 48
USAGES = ("Training", "PublicTest", "PrivateTest")
FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# The columns of fer2013new.csv that name an emotion, and ``mien``'s name for each.
FERPLUS_COLUMNS = {
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fear",
    "surprise": "surprise",
    "neutral": "neutral",
    "disgust": "disgust",
    "contempt": "contempt",
}
FERPLUS_LABELS = tuple(FERPLUS_COLUMNS.values())
REJECTED_COLUMNS = ("unknown", "NF")
VOTE_COLUMNS = (*FERPLUS_COLUMNS, *REJECTED_COLUMNS)
# A single vote for a class is dropped as an outlier (Barsoum et al., reference code).
OUTLIER_VOTES = 1
# In place of an index into FER2013_LABELS, for a face that has no such label.
NO_LABEL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class FerDataset:
    """Rows of FER2013, all arrays aligned by row.

    faces: (N, 48, 48) uint8 grey
    fer2013: (N,) int64 index into FER2013_LABELS, or NO_LABEL
    votes: (N, 10) int64 votes after outlier removal, FERPLUS_LABELS then unknown and NF; all zero
        without fer2013new.csv
    usage: (N,) one of USAGES
    """

    faces: NDArray[np.uint8]
    fer2013: NDArray[np.int64]
    votes: NDArray[np.int64]
    usage: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.faces)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "FerDataset":
        """Return the chosen rows, in order."""
        return FerDataset(
            faces=self.faces[chosen],
            fer2013=self.fer2013[chosen],
            votes=self.votes[chosen],
            usage=self.usage[chosen],
        )

    def joined(self, other: "FerDataset", repeat: int = 1) -> "FerDataset":
        """Return these rows, then the other's, ``repeat`` times."""
        return FerDataset(
            faces=np.concatenate([self.faces, *[other.faces] * repeat]),
            fer2013=np.concatenate([self.fer2013, *[other.fer2013] * repeat]),
            votes=np.concatenate([self.votes, *[other.votes] * repeat]),
            usage=np.concatenate([self.usage, *[other.usage] * repeat]),
        )

    def split(self, usage: str) -> "FerDataset":
        """Return the rows of one usage.

        Raises TrainingError if there are none.
        """
        chosen = self.usage == usage
        if not chosen.any():
            raise TrainingError(
                f"no rows with usage {usage!r}; there are {sorted(set(self.usage))}"
            )
        return self.rows(chosen)

    def ferplus_distribution(self) -> NDArray[np.float32]:
        """Return (N, 8) shares of the emotion votes; a row of zeros where no emotion has votes."""
        emotions = self.votes[:, : len(FERPLUS_LABELS)].astype(np.float32)
        total = emotions.sum(axis=1, keepdims=True)
        shares: NDArray[np.float32] = emotions / np.maximum(total, 1.0)
        return shares

    def ferplus_majority(self) -> NDArray[np.int64]:
        """Return (N,) majority class, -1 if the published protocol excludes the face.

        A face counts if its top class has more than half of the remaining votes and is
        neither unknown nor NF.
        """
        top = self.votes.argmax(axis=1)
        counts = 2 * self.votes.max(axis=1) > self.votes.sum(axis=1)
        return np.where(counts & (top < len(FERPLUS_LABELS)), top, -1)


def load_fer2013(folder: Path) -> FerDataset:
    """Read ``fer2013.csv`` or ``fer2013.csv.gz``, and ``fer2013new.csv`` if it exists.

    Raises TrainingError naming file and row for a wrong column, a wrong pixel string, a label out
    of range, or votes that do not line up with the faces.
    """
    path = _find(folder)
    faces, labels, usages = [], [], []
    for number, row in csv_rows(path, ("emotion", "pixels", "Usage")):
        faces.append(_pixels(row["pixels"], path, number))
        labels.append(_label(row["emotion"], path, number))
        usages.append(_usage(row["Usage"], path, number))
    if not faces:
        raise TrainingError(f"{path}: no rows")
    usage = np.array(usages)
    return FerDataset(
        faces=np.stack(faces),
        fer2013=np.array(labels, dtype=np.int64),
        votes=_votes(folder / "fer2013new.csv", usage),
        usage=usage,
    )


def no_votes(faces: int) -> NDArray[np.int64]:
    """Return empty votes (N, 10)."""
    return np.zeros((faces, len(VOTE_COLUMNS)), dtype=np.int64)


def without_duplicates_of(train: FerDataset, held_back: FerDataset) -> FerDataset:
    """Return ``train`` without faces whose exact pixels occur in ``held_back``."""
    seen = {face.tobytes() for face in held_back.faces}
    return train.rows(np.array([face.tobytes() not in seen for face in train.faces]))


def _find(folder: Path) -> Path:
    for name in ("fer2013.csv", "fer2013.csv.gz"):
        if (folder / name).is_file():
            return folder / name
    raise TrainingError(f"{folder}: fer2013.csv or fer2013.csv.gz not found")


def _pixels(text: str, path: Path, number: int) -> NDArray[np.uint8]:
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise TrainingError(f"{path}, row {number}: a pixel is not a number") from error
    if values.size != SIDE * SIDE:
        raise TrainingError(f"{path}, row {number}: {values.size} pixels, not {SIDE * SIDE}")
    if values.min() < 0 or values.max() > 255:
        raise TrainingError(f"{path}, row {number}: a pixel is outside 0 to 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _label(text: str, path: Path, number: int) -> int:
    if not text.isdecimal() or int(text) >= len(FER2013_LABELS):
        raise TrainingError(f"{path}, row {number}: emotion {text!r} is not 0 to 6")
    return int(text)


def _usage(text: str, path: Path, number: int) -> str:
    if text not in USAGES:
        raise TrainingError(f"{path}, row {number}: usage {text!r} is not one of {USAGES}")
    return text


def _votes(path: Path, usage: NDArray[np.str_]) -> NDArray[np.int64]:
    if not path.is_file():
        return no_votes(len(usage))
    votes: list[list[int]] = []
    for number, row in csv_rows(path, ("Usage", *VOTE_COLUMNS)):
        if len(votes) == len(usage):
            raise TrainingError(f"{path}, row {number}: more rows than the {len(usage)} faces")
        if row["Usage"] != usage[len(votes)]:
            raise TrainingError(
                f"{path}, row {number}: usage {row['Usage']!r} but the face has "
                f"{usage[len(votes)]!r}; the two files are not aligned"
            )
        try:
            votes.append([int(row[column]) for column in VOTE_COLUMNS])
        except ValueError as error:
            raise TrainingError(f"{path}, row {number}: a vote is not a number") from error
    if len(votes) != len(usage):
        raise TrainingError(f"{path}: {len(votes)} rows for {len(usage)} faces")
    counts = np.array(votes, dtype=np.int64)
    return np.where(counts > OUTLIER_VOTES, counts, 0)
