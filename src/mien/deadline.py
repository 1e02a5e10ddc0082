"""When nobody waits for an answer any more: known to all that works on it, handed through by none.

Work that has begun can't be stopped from outside. So whoever asks for it sets a deadline, and
``mien.runtime`` looks at it before each run of a model: a picture made to take minutes takes a
thread no longer than an answer may take, and none for a caller who has left.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mien.errors import DeadlineExceededError

__all__ = ["Deadline", "check_deadline", "too_late"]


@dataclass(slots=True)
class Deadline:
    """A moment on the monotonic clock, in seconds, after which nobody waits any more.

    May be looked at in one thread while another lets it expire.
    """

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that is so many seconds away."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """How long there still is, in seconds; negative once it has passed."""
        return self.at_s - time.monotonic()

    def expire(self) -> None:
        """Let it have passed already, as when the caller has left."""
        self.at_s = -math.inf

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Have ``check_deadline`` look at this one, in this thread, until the block ends."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def check_deadline() -> None:
    """Raise DeadlineExceededError if there is a deadline and it has passed."""
    deadline = _current.get()
    if deadline is not None and deadline.left_s <= 0:
        raise too_late()


def too_late() -> DeadlineExceededError:
    """Return what is raised or answered once a deadline has passed."""
    return DeadlineExceededError("the answer was not ready in time; try again later")
