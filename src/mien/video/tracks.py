"""Which faces of successive frames are the same person's, and what that person shows, smoothed.

The maintained trackers bring OpenCV, SciPy or torch; for a handful of faces that move little
between frames the overlap of boxes is enough. Boxes are compared enlarged, so that a quick head
still meets itself. Source: Yang et al. 2022, arXiv 2211.14317 (buffered overlap).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.geometry import intersection_over_union
from mien.options import Include
from mien.results import face_record
from mien.types import Emotion, FaceEmotion

__all__ = ["SMOOTHING_S", "Tracked", "Tracker", "tracked_record"]

# What a face shows lasts from half a second to four. Source: Ekman 2003, Emotions Revealed.
SMOOTHING_S = 0.4
# Missing in a look and hidden for longer, somebody is somebody new.
FORGET_S = 1.5
# On each side, as a share of the box.
_BUFFER = 0.35
_SAME = 0.15


@dataclass(frozen=True, slots=True)
class Tracked:
    """A face with its person: 1 for the first one that was seen, 2 for the second and so on."""

    person: int
    face: FaceEmotion


def tracked_record(
    tracked: Sequence[Tracked], width: int, height: int, include: frozenset[Include] = frozenset()
) -> dict[str, Any]:
    """Return ``size`` and ``faces`` for JSON, each face with its person.

    width, height: pixels of the picture; include: further keys of each face.
    """
    faces = [
        {"person": item.person, **face_record(item.face, width, height, include)}
        for item in tracked
    ]
    return {"size": [width, height], "faces": faces}


@dataclass(slots=True)
class _Track:
    box: NDArray[np.float64]
    scores: Mapping[Emotion, float]
    seen_s: float


class Tracker:
    """Follows the faces of one clip or camera; not to be shared between them.

    smoothing_s: the time constant by which older frames fade from what a person shows; 0 for each
    frame as it is.
    """

    def __init__(self, *, smoothing_s: float = SMOOTHING_S) -> None:
        self._smoothing_s = smoothing_s
        self._tracks: dict[int, _Track] = {}
        self._persons = 0
        self._looked_s = -math.inf

    def update(self, faces: Sequence[FaceEmotion], at_s: float) -> tuple[Tracked, ...]:
        """Return the faces of the next frame, in order, each with its person, smoothed.

        at_s: when the frame was taken, in seconds from any beginning; never less than before.
        """
        self._tracks = {
            person: track
            for person, track in self._tracks.items()
            # Who was there in the last look stays, however long ago that was: looks may be rare.
            if track.seen_s >= self._looked_s or at_s - track.seen_s <= FORGET_S
        }
        self._looked_s = at_s
        same = self._matches(faces)
        return tuple(
            self._seen(same.get(index) or self._new(), face, at_s)
            for index, face in enumerate(faces)
        )

    def _matches(self, faces: Sequence[FaceEmotion]) -> dict[int, int]:
        """Return the person of each face that continues a track, by the face's place."""
        if not faces or not self._tracks:
            return {}
        persons = list(self._tracks)
        overlap = intersection_over_union(
            _buffered(np.array([_corners(face) for face in faces])),
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
        self._tracks[person] = _Track(np.array(_corners(face)), scores, at_s)
        emotion = max(scores, key=scores.__getitem__)
        smoothed = replace(face, emotion=emotion, confidence=scores[emotion], scores=scores)
        return Tracked(person, smoothed)


def _corners(face: FaceEmotion) -> tuple[float, float, float, float]:
    return face.box.left, face.box.top, face.box.right, face.box.bottom


def _buffered(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = _BUFFER * np.tile(boxes[:, 2:] - boxes[:, :2], 2) * (-1, -1, 1, 1)
    grown: NDArray[np.float64] = boxes + margin
    return grown
