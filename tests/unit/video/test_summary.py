"""Spans of one emotion for each person, from samples as they come."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from mien.types import Emotion, RgbImage
from mien.video.reader import Frame
from mien.video.summary import Summary
from mien.video.tracks import Sample, Tracked
from samples import make_face

IMAGE = RgbImage(np.zeros((1, 1, 3), np.uint8))
HAPPY, SAD = Emotion.HAPPY, Emotion.SAD


def summary_of(
    shown: Sequence[Emotion | None], times_s: Iterable[float], per_second: float = 10.0
) -> Summary:
    """Return the summary of one person. shown: None for samples without the person."""
    summary = Summary(per_second)
    for index, (emotion, time_s) in enumerate(zip(shown, times_s, strict=True)):
        faces = () if emotion is None else (Tracked(1, make_face(5, 5, 20, 20, emotion)),)
        summary.add(Sample(Frame(time_s, index, IMAGE), faces))
    return summary


def spans_of(summary: Summary) -> list[tuple[Emotion, float, float]]:
    return [
        (span.emotion, round(span.begin_s, 3), round(span.end_s, 3))
        for span in summary.persons[1].spans
    ]


def test_a_record_has_the_turn_of_its_frame() -> None:
    faces = (Tracked(1, make_face(0, 0, 1, 1, HAPPY)),)
    for turn, expected in ((0, None), (90, 90)):
        (face,) = Sample(Frame(0.0, 0, IMAGE), faces, turn).record()["faces"]
        assert face.get("turn") == expected


def test_no_samples() -> None:
    assert summary_of([], []).record(cut_off=False, dropped_frames=2) == {
        "samples": 0,
        "seconds": 0.0,
        "cut_off": False,
        "dropped_frames": 2,
        "persons": [],
    }


def test_a_video_with_fewer_frames_than_samples() -> None:
    summary = summary_of([HAPPY] * 60, [index / 2 for index in range(60)])
    assert spans_of(summary) == [(HAPPY, 0.0, 30.0)]
    assert summary.seconds == pytest.approx(30)


@pytest.mark.parametrize("step_s", [0.1, 0.5])
@pytest.mark.parametrize(
    ("shown", "spans"),
    [
        ([HAPPY], [(HAPPY, 0, 1)]),
        ([HAPPY, HAPPY, SAD, SAD, HAPPY], [(HAPPY, 0, 2), (SAD, 2, 4), (HAPPY, 4, 5)]),
        ([HAPPY, None, HAPPY], [(HAPPY, 0, 3)]),
        ([HAPPY, None, SAD], [(HAPPY, 0, 2), (SAD, 2, 3)]),
        ([HAPPY, None, None, HAPPY], [(HAPPY, 0, 1), (HAPPY, 3, 4)]),
        ([None, HAPPY, None, None], [(HAPPY, 1, 2)]),
    ],
)
def test_spans(step_s: float, shown: list, spans: list) -> None:
    """In steps of the requested interval and of a longer one: from its second sample on."""
    shown = [None, None, *shown]
    summary = summary_of(shown, [index * step_s for index in range(len(shown))])
    assert spans_of(summary) == [
        (emotion, pytest.approx((begin + 2) * step_s), pytest.approx((end + 2) * step_s))
        for emotion, begin, end in spans
    ]


def test_spans_of_an_uneven_video_neither_overlap_nor_leave_gaps() -> None:
    times_s = [0.0, 0.13, 0.2, 1.7, 1.83, 30.0, 30.1]
    summary = summary_of([HAPPY, SAD, SAD, HAPPY, SAD, HAPPY, HAPPY], times_s)
    assert spans_of(summary) == [
        (HAPPY, 0.0, 0.13),
        (SAD, 0.13, 1.7),
        (HAPPY, 1.7, 1.83),
        (SAD, 1.83, 30.0),
        (HAPPY, 30.0, 30.2),
    ]
    assert summary.seconds == pytest.approx(30.2)
