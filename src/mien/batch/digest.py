"""What a table of results says as a whole, gathered row by row."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import InvalidParameterError
from mien.results import Cell
from mien.types import Box, Emotion

__all__ = ["BINS", "Digest", "Example", "digest_of"]

BINS = 10
_EXAMPLES = 16
_FAILURES = 5
_NEEDED = frozenset({"path", "emotion", "confidence", "error_code"})


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """A face to be shown. box: in pixels of the photo."""

    confidence: float
    path: str
    box: Box = field(compare=False)


@dataclass(slots=True)
class Digest:
    """confidence: faces by tenth; examples: of each emotion the most confident, one a photo;
    errors: photos by code; failures: the first few of each.
    """  # noqa: D205 - the fields are the summary

    photos: int = 0
    faceless: int = 0
    emotions: Counter[Emotion] = field(default_factory=Counter)
    confidence: Counter[int] = field(default_factory=Counter)
    examples: dict[Emotion, list[Example]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)

    @property
    def faces(self) -> int:
        return self.emotions.total()

    def add(self, row: Mapping[str, Cell]) -> None:
        """Take one row into account. Raises ValueError, TypeError or KeyError for a foreign one."""
        path, code = str(row["path"]), row["error_code"]
        # The first face is number 0: each photo is counted once.
        self.photos += not row.get("face")
        if code:
            self.errors[str(code)] += 1
            failures = self.failures.setdefault(str(code), [])
            if len(failures) < _FAILURES:
                failures.append(f"{path}: {row['error_message']}")
        elif row["emotion"] is None:
            self.faceless += 1
        else:
            self._add_face(Emotion(str(row["emotion"])), row, path)

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
        heapq.heappush(examples, Example(confidence, path, box))
        if len(examples) > _EXAMPLES:
            heapq.heappop(examples)


def digest_of(rows: Iterable[Mapping[str, Cell]], table: Path) -> Digest:
    """Return what the rows say. Raises InvalidParameterError if they are no results."""
    digest = Digest()
    for row in rows:
        try:
            digest.add(row)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidParameterError(f"{table}: not a table that mien batch wrote") from error
    return digest
