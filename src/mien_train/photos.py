"""Evaluate whole photos end to end: detection and classification of labeled faces.

A folder holds photos and ``labels.csv`` (file, x, y, width, height, draw, label). ``draw``
is ``random`` for faces of a random sample; without this column all are. ``label`` is empty if
annotators disagreed.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.card import SYNONYMS
from mien.classify.labels import LabelSet
from mien.detect.registry import DEFAULT_DETECTOR, build_detector
from mien.errors import MienError
from mien.geometry import intersection_over_union
from mien.image import load_image
from mien.recognizer import MAX_PIXELS, Recognizer
from mien.types import Face, RgbImage
from mien_train.csv_rows import csv_rows
from mien_train.errors import TrainingError
from mien_train.metrics import Metrics, measure
from mien_train.report.text import metrics_lines

__all__ = [
    "LabeledFace",
    "PhotoScores",
    "Sample",
    "load_labels",
    "located",
    "match",
    "photo_lines",
    "score_photos",
]

LABELS_FILE = "labels.csv"
COLUMNS = ("file", "x", "y", "width", "height", "label")
RANDOM = "random"
# A face is found if a box overlaps its own by at least this much.
MIN_OVERLAP = 0.4
# Left, top, right, bottom.
Corners = tuple[float, float, float, float]
SIX = tuple(emotion.value for emotion in LabelSet.SIX.emotions)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledFace:
    """A face of a photo: box as left, top, right, bottom in pixels, and one of the six."""

    file: str
    box: Corners
    is_random: bool
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Metrics of a set of labeled faces.

    labeled: (6,) number of faces per emotion; found: metrics of the detected ones.
    """

    labeled: NDArray[np.int64]
    found: Metrics

    @property
    def accuracy(self) -> float:
        """End-to-end accuracy: a missed face counts as wrong."""
        return float(np.trace(self.found.confusion) / self.labeled.sum())

    @property
    def recall(self) -> dict[str, float]:
        """End-to-end recall of each emotion that occurs."""
        right = np.diagonal(self.found.confusion)
        return {
            label: float(right[row] / self.labeled[row])
            for row, label in enumerate(SIX)
            if self.labeled[row]
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards."""
        return {
            "labeled": int(self.labeled.sum()),
            "accuracy": round(self.accuracy, 4),
            "recall": {label: round(recall, 4) for label, recall in self.recall.items()},
            "found": {**self.found.to_dict(), "balanced": round(self.found.balanced, 4)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoScores:
    """``random``: the random sample, for accuracy and calibration; ``every``: all faces.

    other_labels: the faces that are left out, counted by label: theirs is none of the six.
    """

    random: Sample
    every: Sample
    other_labels: Counter[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON and cards."""
        return {"random": self.random.to_dict(), "every": self.every.to_dict()}


def load_labels(folder: Path) -> list[LabeledFace]:
    """Read the faces that have one of the six labels, those of one photo together.

    Labels may have the names that cards accept, such as ``anger``.
    Raises TrainingError if the file, a column or a value is missing, a box is invalid, or no face
    remains.
    """
    return _read_labels(folder)[0]


def _read_labels(folder: Path) -> tuple[list[LabeledFace], Counter[str]]:
    """Return the faces as ``load_labels`` does, and count those with other labels."""
    path = folder / LABELS_FILE
    faces, other_labels = [], Counter[str]()
    for number, row in csv_rows(path, COLUMNS):
        name = row["label"].strip().lower()
        label = SYNONYMS.get(name, name)
        if label in SIX:
            try:
                faces.append(_labeled(row, label))
            except ValueError as error:
                raise TrainingError(f"{path}, row {number}: {error}") from error
        elif label:
            other_labels[label] += 1
    if not any(face.is_random for face in faces):
        raise TrainingError(
            f"{path}: no face whose draw is {RANDOM} has one of the labels {', '.join(SIX)}"
        )
    return sorted(faces, key=lambda face: face.file), other_labels


def score_photos(recognizer: Recognizer, folder: Path) -> PhotoScores:
    """Return the metrics on a folder of photos.

    Raises TrainingError if a photo can't be read or no face is found.
    """
    faces, other_labels = _read_labels(folder)
    scores = list(_scores(recognizer, folder, faces))
    sampled = [pair for pair in zip(faces, scores, strict=True) if pair[0].is_random]
    return PhotoScores(
        random=_sample([face for face, _ in sampled], [row for _, row in sampled]),
        every=_sample(faces, scores),
        other_labels=other_labels,
    )


def located(folder: Path) -> Iterator[tuple[RgbImage, Face, LabeledFace]]:
    """Yield each labeled face that the default detector finds, with its photo.

    Raises TrainingError if a photo can't be read.
    """
    detector = build_detector(DEFAULT_DETECTOR)
    for file, group in groupby(load_labels(folder), key=lambda face: face.file):
        try:
            image = load_image(folder / file, max_pixels=MAX_PIXELS)
        except MienError as error:
            raise TrainingError(f"{folder / file}: {error.message}") from error
        faces = detector.detect(image)
        for labeled in group:
            index = match(labeled.box, [face.box.xyxy for face in faces])
            if index is not None:
                yield image, faces[index], labeled


def photo_lines(scores: PhotoScores) -> Iterator[str]:
    """Yield all metrics as text."""
    if scores.other_labels:
        others = ", ".join(f"{label} ({count})" for label, count in scores.other_labels.items())
        yield f"left out, with another label than the six: {others}"
        yield ""
    samples = [("random sample", scores.random), ("all faces", scores.every)]
    if scores.random.labeled.sum() == scores.every.labeled.sum():
        del samples[0]
    for title, sample in samples:
        yield from metrics_lines(f"{title}, found faces", sample.found)
        yield f"balanced accuracy {sample.found.balanced:.4f}"
        recalls = ", ".join(f"{label} {recall:.3f}" for label, recall in sample.recall.items())
        yield (
            f"{title}, end to end: {sample.found.faces} of {sample.labeled.sum()} found, "
            f"accuracy {sample.accuracy:.4f}, recall {recalls}"
        )
        yield ""


def _sample(faces: Sequence[LabeledFace], rows: Sequence[list[float] | None]) -> Sample:
    truth = np.array([SIX.index(face.label) for face in faces])
    found = np.array([row is not None for row in rows])
    if not found.any():
        raise TrainingError(
            "none of the labeled faces of the random sample is found: no box overlaps theirs by "
            f"an IoU of {MIN_OVERLAP}"
        )
    scores = np.array([row for row in rows if row is not None], dtype=np.float64)
    return Sample(
        labeled=np.bincount(truth, minlength=len(SIX)), found=measure(scores, truth[found], SIX)
    )


def _labeled(row: dict[str, str], label: str) -> LabeledFace:
    """Raises ValueError if the box is not one."""
    x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError(f"the box {x:g}, {y:g}, {width:g}, {height:g} has no area")
    return LabeledFace(
        file=row["file"],
        box=(x, y, x + width, y + height),
        is_random=row.get("draw", RANDOM).strip().lower() == RANDOM,
        label=label,
    )


def _scores(
    recognizer: Recognizer, folder: Path, faces: Sequence[LabeledFace]
) -> Iterator[list[float] | None]:
    """Yield the six scores of each face, None where it is not found."""
    for file, group in groupby(faces, key=lambda face: face.file):
        try:
            found = recognizer.analyze(folder / file)
        except MienError as error:
            raise TrainingError(f"{folder / file}: {error.message}") from error
        for face in group:
            left, top, right, bottom = face.box
            if right <= 0 or bottom <= 0 or left >= found.width or top >= found.height:
                raise TrainingError(
                    f"{folder / file}: the box at {left:g}, {top:g} is outside of its "
                    f"{found.width} x {found.height} pixels"
                )
            index = match(face.box, [other.box.xyxy for other in found])
            scores = None if index is None else found.faces[index].scores
            yield None if scores is None else [scores[e] for e in LabelSet.SIX.emotions]


def match(box: Corners, boxes: Sequence[Sequence[float]]) -> int | None:
    """Return which of the boxes overlaps a labeled face's most, None if none overlaps enough.

    All are left, top, right, bottom in pixels.
    """
    others = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    overlaps = intersection_over_union(np.array([box]), others)[0]
    return int(overlaps.argmax()) if overlaps.max(initial=0) >= MIN_OVERLAP else None
