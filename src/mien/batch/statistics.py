"""Totals, examples and failures of a table of results, collected row by row."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.batch.paths import path_from_text
from mien.errors import InvalidParameterError
from mien.results import Cell
from mien.types import Box, Emotion

__all__ = ["BINS", "FaceExample", "TableStatistics", "statistics_of"]

BINS = 10
_EXAMPLES = 16
_FAILURES = 5


@dataclass(frozen=True, slots=True, order=True)
class FaceExample:
    """A face to show.

    Attributes:
        confidence: Of its emotion.
        path: The photo.
        box: In pixels of the photo.
    """

    confidence: float
    path: str
    box: Box = field(compare=False)


@dataclass(slots=True)
class TableStatistics:
    """Statistics over a whole table.

    Attributes:
        photos: Number of photos.
        faceless: Photos without a face.
        emotions: Faces by emotion.
        confidence: Faces by confidence, in ``BINS`` equal bins.
        examples: For each emotion, the faces with the highest confidence; from each photo, only its
            largest face.
        errors: Failed photos by error code.
        failures: The first few failed photos of each error code.
    """

    photos: int = 0
    faceless: int = 0
    emotions: Counter[Emotion] = field(default_factory=Counter)
    confidence: Counter[int] = field(default_factory=Counter)
    examples: dict[Emotion, list[FaceExample]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Cell]) -> None:
        """Add a row.

        Raises:
            ValueError, TypeError or KeyError: It is not one of a table of results.
        """
        path, code = str(row["path"]), row["error_code"]
        # The first face of a photo is number 0, so each photo is counted once.
        self.photos += not row.get("face")
        if code:
            self.errors[str(code)] += 1
            failures = self.failures.setdefault(str(code), [])
            if len(failures) < _FAILURES:
                failures.append(f"{path}: {row['error_message']}")
        elif row["emotion"] is None:
            self.faceless += 1
        else:
            self._add_face(Emotion(str(row["emotion"])), row, path_from_text(path))

    def _add_face(self, emotion: Emotion, row: Mapping[str, Cell], path: str) -> None:
        x, y, width, height, confidence = (
            float(row[name] or 0) for name in ("x", "y", "box_width", "box_height", "confidence")
        )
        self.emotions[emotion] += 1
        self.confidence[min(int(confidence * BINS), BINS - 1)] += 1
        examples = self.examples.setdefault(emotion, [])
        if any(other.path == path for other in examples):
            return
        box = Box(left=x, top=y, right=x + width, bottom=y + height)
        heapq.heappush(examples, FaceExample(confidence, path, box))
        if len(examples) > _EXAMPLES:
            heapq.heappop(examples)


def statistics_of(rows: Iterable[Mapping[str, Cell]], table: Path) -> TableStatistics:
    """Return the statistics of a table.

    Args:
        rows: Its rows.
        table: Its file, for the error.

    Raises:
        InvalidParameterError: It is not a table of results.
    """
    statistics = TableStatistics()
    try:
        for row in rows:
            statistics.add(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidParameterError(f"{table}: not a table of mien batch") from error
    return statistics
