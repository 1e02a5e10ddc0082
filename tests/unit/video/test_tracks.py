"""Which faces of successive frames belong to the same person."""

import pytest

from mien.types import Emotion
from mien.video.tracks import FORGET_S, Tracker
from samples import make_face

FACE = make_face(50, 40, 30, 40)


def persons(times_s: list[float], missing: tuple[int, ...] = ()) -> list[list[int]]:
    """Return the persons in each frame, for a face that does not move.

    Args:
        times_s: Times of the frames.
        missing: Indices of the frames without the face.
    """
    tracker = Tracker()
    return [
        [tracked.person for tracked in tracker.update([] if frame in missing else [FACE], at_s)]
        for frame, at_s in enumerate(times_s)
    ]


def test_a_face_that_stays_is_the_same_person_however_rare_the_frames() -> None:
    assert persons([0.0, 2.0, 4.0, 100.0]) == [[1]] * 4


def test_a_face_that_is_hidden_for_long_is_a_new_person() -> None:
    assert persons([0.0, 2.0, 4.0], missing=(1,)) == [[1], [], [2]]
    assert persons([0.0, 0.1, FORGET_S + 0.1], missing=(1,)) == [[1], [], [2]]


def test_a_face_that_is_hidden_for_a_moment_is_the_same_person() -> None:
    assert persons([0.0, 0.1, FORGET_S - 0.1], missing=(1,)) == [[1], [], [1]]


def test_ending_tracks_ends_smoothing() -> None:
    happy, sad = (make_face(50, 40, 30, 40, each) for each in (Emotion.HAPPY, Emotion.SAD))
    tracker = Tracker(smoothing_s=10.0)
    tracker.update([happy], 0.0)
    (smoothed,) = tracker.update([sad], 0.1)
    assert (smoothed.person, smoothed.face.emotion) == (1, Emotion.HAPPY)
    tracker.end_tracks()
    (fresh,) = tracker.update([sad], 0.2)
    assert (fresh.person, fresh.face.emotion) == (2, Emotion.SAD)
    assert fresh.face.scores == pytest.approx(sad.scores)
