"""Times that only grow, whatever the timestamps."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.video.clock import Clock

INTERVAL_S = 0.1


def times_of(timestamps_s: list[float | None], max_gap_s: float = math.inf) -> list[float | None]:
    clock = Clock(INTERVAL_S, max_gap_s=max_gap_s)
    times = [clock.advance(timestamp) for timestamp in timestamps_s]
    return [None if time is None else round(time, 3) for time in times]


@pytest.mark.parametrize(
    ("timestamps_s", "times_s"),
    [
        ([], []),
        ([7.0], [0.0]),
        ([7.0, 7.5, 9.0], [0.0, 0.5, 2.0]),
        ([-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]),
        # A recording of any length is joined: it begins at its first timestamp again, or elsewhere.
        ([0.0, 0.2, 0.4, 0.0, 0.2, 0.4], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([5.0, 5.2, 1.0, 1.3, 0.0, 0.1], [0.0, 0.2, 0.4, 0.7, 1.0, 1.1]),
        ([10.0, 11.0, 12.0, 10.5, 11.5], [0.0, 1.0, 2.0, 3.0, 4.0]),
        # Many times.
        ([0.0, 0.1] * 3, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        # After a long pause the join adds a second, not the pause.
        ([0.0, 60.0, 0.0], [0.0, 60.0, 61.0]),
        # Missing: all, at the beginning, in the middle, at the end.
        ([None, None, None], [0.0, 0.1, 0.2]),
        ([None, None, 3.0, 3.2], [0.0, 0.1, 0.2, 0.4]),
        ([0.0, 0.2, None, 0.6, None], [0.0, 0.2, 0.4, 0.6, 0.8]),
        # Repeated.
        ([0.0, 0.0, 0.0, 0.2], [0.0, None, None, 0.2]),
        ([1.0, 1.2, 1.2, 1.4], [0.0, 0.2, None, 0.4]),
        # Out of order.
        ([1.0, 1.1, 1.3, 1.2, 1.4], [0.0, 0.1, 0.3, None, 0.4]),
        ([1.0, 1.5, 1.1, 1.2, 1.6], [0.0, 0.5, None, None, 0.6]),
    ],
)
def test_times(timestamps_s: list[float | None], times_s: list[float | None]) -> None:
    assert times_of(timestamps_s) == times_s


def test_a_forward_jump_is_a_pause_except_in_a_broadcast() -> None:
    stamps: list[float | None] = [0.0, 0.2, 9000.0, 9000.2]
    assert times_of(stamps) == [0.0, 0.2, 9000.0, 9000.2]
    assert times_of(stamps, max_gap_s=10.0) == [0.0, 0.2, 0.4, 0.6]


@given(st.lists(st.none() | st.floats(-1e5, 1e5), max_size=30))
def test_times_grow_from_zero(timestamps_s: list[float | None]) -> None:
    clock = Clock(INTERVAL_S)
    times = [clock.advance(timestamp) for timestamp in timestamps_s]
    kept = [time for time in times if time is not None]
    assert kept[:1] == [0.0] * bool(timestamps_s)
    assert all(later > earlier for earlier, later in pairwise(kept))
