"""A clip's pictures read one after the other: what each person shows, and when."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mien.options import Include, Options
from mien.recognizer import Recognizer
from mien.results import ImageResult
from mien.video.clip import Frame
from mien.video.tracks import Tracked, Tracker, tracked_record

__all__ = ["DETECT_EVERY", "PER_SECOND", "Sample", "followed", "grouped", "read_group"]

PER_SECOND = 10.0
# Between, faces are looked for only where they were: python -m benchmarks.video.
DETECT_EVERY = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture of a clip and who is in it."""

    frame: Frame
    faces: tuple[Tracked, ...]

    def record(self, include: frozenset[Include] = frozenset()) -> dict[str, Any]:
        """Return it for JSON: ``time_s``, ``frame``, ``size`` and ``faces``."""
        image = self.frame.image
        return {
            "time_s": round(self.frame.time_s, 3),
            "frame": self.frame.index,
            **tracked_record(self.faces, image.width, image.height, include),
        }


def grouped(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield the frames in groups, each of which can be read by itself."""
    frames = iter(frames)
    while group := list(islice(frames, size)):
        yield group


def read_group(
    recognizer: Recognizer, group: Sequence[Frame], options: Options
) -> list[tuple[Frame, ImageResult]]:
    """Return the result of each frame."""
    return [(frame, recognizer.analyze(frame.image, options)) for frame in group]


def followed(results: Iterable[tuple[Frame, ImageResult]], tracker: Tracker) -> Iterator[Sample]:
    """Yield each frame with its faces as persons, smoothed."""
    for frame, result in results:
        yield Sample(frame, tracker.update(result.faces, frame.time_s))
