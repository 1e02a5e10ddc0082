"""Analyze a video frame by frame: which emotion each person shows, and when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mien.options import Include
from mien.results import ImageResult
from mien.video.reader import Frame
from mien.video.tracks import Tracked, Tracker, tracked_record

__all__ = ["PER_SECOND", "Sample", "followed"]

PER_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame of a video, the tracked faces in it, and its turn, see ``ImageResult``."""

    frame: Frame
    faces: tuple[Tracked, ...]
    turn: int = 0

    def record(self, include: frozenset[Include] = frozenset()) -> dict[str, Any]:
        """Return it for JSON: ``time_s``, ``frame``, ``size`` and ``faces``."""
        image = self.frame.image
        return {
            "time_s": round(self.frame.time_s, 3),
            "frame": self.frame.index,
            **tracked_record(self.faces, image.width, image.height, include, turn=self.turn),
        }


def followed(results: Iterable[tuple[Frame, ImageResult]], tracker: Tracker) -> Iterator[Sample]:
    """Yield each frame with its faces assigned to persons, smoothed; a cut ends all tracks."""
    for frame, result in results:
        if frame.cut:
            tracker.end_tracks()
        yield Sample(frame, tracker.update(result.faces, frame.time_s), result.turn)
