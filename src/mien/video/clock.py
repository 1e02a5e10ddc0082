"""Presentation times that only grow, from timestamps that may jump, repeat or be missing."""

import math

__all__ = ["Clock"]

# A frame that is late by at most this is out of order. One that is later starts a new recording.
_REORDER_S = 0.5
_SHORTEST_STEP_S, _LONGEST_STEP_S = 1 / 250, 1.0


class Clock:
    """Assigns each frame a time: 0 for the first one, then always more.

    Joined recordings start again from an earlier timestamp. The time of their first frame is that
    of the last frame plus the last interval between frames. The same applies to a frame without a
    timestamp.
    """

    def __init__(self, frame_interval_s: float, *, max_gap_s: float = math.inf) -> None:
        """Create a clock.

        Args:
            frame_interval_s: Time between the first two frames, where it is not known otherwise.
            max_gap_s: Longest believable step forward; a longer one starts a new recording.
        """
        self._interval_s = frame_interval_s
        self._max_gap_s = max_gap_s
        self._now_s: float | None = None
        # Of the current recording: its first timestamp, and what to add to its timestamps.
        self._start_s = math.inf
        self._offset_s = 0.0

    def advance(self, timestamp_s: float | None) -> float | None:
        """Return the next frame's time in seconds.

        Args:
            timestamp_s: As stored with the frame; None where it is missing.

        Returns:
            The time, or None if the frame has to be dropped: its timestamp repeats the last one,
            or it is out of order.
        """
        step_s = min(max(self._interval_s, _SHORTEST_STEP_S), _LONGEST_STEP_S)
        due_s = 0.0 if self._now_s is None else self._now_s + step_s
        if timestamp_s is None:
            self._now_s = due_s
            return due_s
        time_s = timestamp_s + self._offset_s
        if self._starts_recording(timestamp_s, time_s):
            self._start_s, self._offset_s, time_s = timestamp_s, due_s - timestamp_s, due_s
        elif self._now_s is not None:
            if time_s <= self._now_s:
                return None
            self._interval_s = time_s - self._now_s
        self._now_s = time_s
        return time_s

    def _starts_recording(self, timestamp_s: float, time_s: float) -> bool:
        if self._now_s is None or self._start_s == math.inf:
            return True
        ahead_s = time_s - self._now_s
        if ahead_s > self._max_gap_s or ahead_s < -_REORDER_S:
            return True
        # Frames of one recording never precede its first.
        return ahead_s < 0 and timestamp_s <= self._start_s
