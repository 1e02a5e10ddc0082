"""The time spans during which each person shows one emotion."""

from dataclasses import dataclass, field
from typing import Any

from mien.types import Emotion
from mien.video.tracks import Sample

__all__ = ["Person", "Span", "Summary"]


@dataclass(slots=True)
class Span:
    """A time span in which a person shows one emotion, in seconds since the first frame."""

    emotion: Emotion
    begin_s: float
    end_s: float


@dataclass(slots=True)
class Person:
    """Spans of one person in order of time; they do not overlap."""

    spans: list[Span] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(span.end_s - span.begin_s for span in self.spans)

    def shares(self) -> dict[Emotion, float]:
        """Return the fraction of the time of each emotion, largest first; their sum is 1."""
        shares: dict[Emotion, float] = {}
        for span in self.spans:
            shares[span.emotion] = shares.get(span.emotion, 0.0) + span.end_s - span.begin_s
        whole = max(self.seconds, 1e-9)
        ranked = sorted(shares.items(), key=lambda item: -item[1])
        return {emotion: seconds / whole for emotion, seconds in ranked}


class Summary:
    """Collects samples; its memory grows with changes of emotion, not with the video's length."""

    def __init__(self, per_second: float) -> None:
        """Create an empty summary.

        Args:
            per_second: Most samples per second; a video may have fewer.
        """
        self._step_s = 1.0 / per_second
        # Shortest time between two samples so far; 0 until there are two.
        self._shortest_s = 0.0
        self._last_s = 0.0
        self._last_seen: list[Person] = []
        self.persons: dict[int, Person] = {}
        self.samples = 0
        self.seconds = 0.0

    def add(self, sample: Sample) -> None:
        """Add the next sample; each of its faces counts until the sample after it.

        A person who is missing in a single sample counts as present; in more, the span ends.
        """
        begin_s = sample.frame.time_s
        for person in self._last_seen:
            person.spans[-1].end_s = begin_s
        end_s = self._due_s(begin_s)
        for tracked in sample.faces:
            spans = self.persons.setdefault(tracked.person, Person()).spans
            # The span of a person in the sample before the last ends at the last sample.
            if spans and spans[-1].end_s >= self._last_s:
                spans[-1].end_s = begin_s
                if spans[-1].emotion == tracked.face.emotion:
                    spans[-1].end_s = end_s
                    continue
            spans.append(Span(tracked.face.emotion, begin_s, end_s))
        self._last_seen = [self.persons[tracked.person] for tracked in sample.faces]
        self._last_s = begin_s
        self.samples += 1
        self.seconds = end_s

    def _due_s(self, begin_s: float) -> float:
        """Return when to expect the sample after the one at begin_s."""
        if self.samples:
            passed_s = begin_s - self._last_s
            self._shortest_s = min(self._shortest_s or passed_s, passed_s)
        return begin_s + max(self._step_s, self._shortest_s)

    def record(self, *, cut_off: bool, dropped_frames: int) -> dict[str, Any]:
        """Return the summary for JSON.

        Args:
            cut_off: Whether the video is damaged or incomplete.
            dropped_frames: Frames of the video that could not be used.
        """
        return {
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
            "cut_off": cut_off,
            "dropped_frames": dropped_frames,
            "persons": [
                {
                    "person": number,
                    "from": round(person.spans[0].begin_s, 3),
                    "to": round(person.spans[-1].end_s, 3),
                    "seconds": round(person.seconds, 3),
                    "emotions": {e.value: round(s, 4) for e, s in person.shares().items()},
                }
                for number, person in sorted(self.persons.items())
            ],
        }
