"""Assign the faces of successive frames to persons, and smooth each person's emotions over time.

Maintained trackers need OpenCV, SciPy or torch. For a few faces that move little between frames,
the overlap of boxes is enough. Boxes are enlarged before they are compared, so that those of a
fast head still overlap. Source: Yang et al. 2022, arXiv 2211.14317 (buffered overlap).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.geometry import intersection_over_union
from mien.options import Include
from mien.results import ImageResult, face_record
from mien.types import Emotion, FaceEmotion
from mien.video.reader import Frame

__all__ = [
    "PER_SECOND",
    "SMOOTHING_S",
    "Sample",
    "Tracked",
    "Tracker",
    "followed",
    "tracked_record",
]

# Samples of a video, unless another rate is given.
PER_SECOND = 10.0

# An expression lasts from half a second to four seconds. Source: Ekman 2003, Emotions Revealed.
SMOOTHING_S = 0.4
# A person who is missing in a frame and hidden for longer than this gets a new number.
FORGET_S = 1.5
# Enlargement on each side, as a fraction of the box.
_BUFFER = 0.35
_SAME = 0.15


@dataclass(frozen=True, slots=True)
class Tracked:
    """A face with the number of its person, counted from 1 in the order of appearance."""

    person: int
    face: FaceEmotion


def tracked_record(
    tracked: Sequence[Tracked],
    width: int,
    height: int,
    include: frozenset[Include] = frozenset(),
    *,
    turn: int = 0,
) -> dict[str, Any]:
    """Return ``size`` and ``faces`` for JSON, each face with its person.

    Args:
        tracked: The faces of one frame.
        width: Pixels of the frame.
        height: Pixels of the frame.
        include: Further keys of each face.
        turn: Of the frame, see ``ImageResult``.
    """
    faces = [
        {"person": item.person, **face_record(item.face, width, height, include, turn=turn)}
        for item in tracked
    ]
    return {"size": [width, height], "faces": faces}


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


@dataclass(slots=True)
class _Track:
    box: NDArray[np.float64]
    scores: Mapping[Emotion, float]
    seen_s: float


class Tracker:
    """Tracks the faces of a single video or camera; use one tracker for each."""

    def __init__(self, *, smoothing_s: float = SMOOTHING_S) -> None:
        """Create a tracker.

        Args:
            smoothing_s: Time constant of the exponential smoothing of scores; 0 for none.
        """
        self._smoothing_s = smoothing_s
        self._tracks: dict[int, _Track] = {}
        self._persons = 0
        self._last_frame_s = -math.inf

    def end_tracks(self) -> None:
        """Drop all tracks: the faces of the next frame are new persons without smoothing."""
        self._tracks.clear()

    def update(self, faces: Sequence[FaceEmotion], at_s: float) -> tuple[Tracked, ...]:
        """Return the faces of the next frame, in order, each with its person, smoothed.

        Args:
            faces: The faces of the frame.
            at_s: Time of the frame in seconds, on any clock; never less than before.
        """
        self._tracks = {
            person: track
            for person, track in self._tracks.items()
            # A person in the last frame is kept however long ago it was: frames may be rare.
            if track.seen_s >= self._last_frame_s or at_s - track.seen_s <= FORGET_S
        }
        self._last_frame_s = at_s
        same = self._matches(faces)
        return tuple(
            self._seen(same.get(index) or self._new(), face, at_s)
            for index, face in enumerate(faces)
        )

    def _matches(self, faces: Sequence[FaceEmotion]) -> dict[int, int]:
        """Return the person of each face that continues a track, by the index of the face."""
        if not faces or not self._tracks:
            return {}
        persons = list(self._tracks)
        overlap = intersection_over_union(
            _buffered(np.array([face.box.xyxy for face in faces])),
            _buffered(np.array([track.box for track in self._tracks.values()])),
        )
        found: dict[int, int] = {}
        for flat in np.argsort(-overlap, axis=None, kind="stable").tolist():
            row, column = divmod(flat, len(persons))
            if overlap[row, column] < _SAME:
                break
            if row not in found and persons[column] not in found.values():
                found[row] = persons[column]
        return found

    def _new(self) -> int:
        self._persons += 1
        return self._persons

    def _seen(self, person: int, face: FaceEmotion, at_s: float) -> Tracked:
        before = self._tracks.get(person)
        scores = face.scores
        if before is not None and self._smoothing_s > 0:
            fresh = 1.0 - math.exp(-(at_s - before.seen_s) / self._smoothing_s)
            scores = {
                emotion: old + fresh * (scores[emotion] - old)
                for emotion, old in before.scores.items()
            }
        self._tracks[person] = _Track(np.array(face.box.xyxy), scores, at_s)
        emotion = max(scores, key=scores.__getitem__)
        smoothed = replace(face, emotion=emotion, confidence=scores[emotion], scores=scores)
        return Tracked(person, smoothed)


def followed(results: Iterable[tuple[Frame, ImageResult]], tracker: Tracker) -> Iterator[Sample]:
    """Yield each frame with its faces assigned to persons, smoothed; a cut ends all tracks."""
    for frame, result in results:
        if frame.cut:
            tracker.end_tracks()
        yield Sample(frame, tracker.update(result.faces, frame.time_s), result.turn)


def _buffered(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = _BUFFER * np.tile(boxes[:, 2:] - boxes[:, :2], 2) * (-1, -1, 1, 1)
    grown: NDArray[np.float64] = boxes + margin
    return grown
