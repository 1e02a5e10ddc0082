"""A deadline for the current work, propagated through a context variable.

A thread cannot be stopped from outside. Instead ``mien.runtime`` checks the deadline before each
run of a model, so that an image takes no more time than its response may take.
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
    """A time on the monotonic clock, in seconds, after which the result is not needed any more.

    One thread may check it while another expires it.
    """

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return a deadline that passes in ``seconds`` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.at_s - time.monotonic()

    def expire(self) -> None:
        """Let it pass now, for example because the client has disconnected."""
        self.at_s = -math.inf

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Make this the deadline that ``check_deadline`` checks within the block.

        ``asyncio.to_thread`` passes it on to its thread; other new threads do not inherit it.
        """
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def check_deadline() -> None:
    """Check the current deadline, if there is one.

    Raises:
        DeadlineExceededError: It has passed.
    """
    deadline = _current.get()
    if deadline is not None and deadline.left_s <= 0:
        raise too_late()


def too_late() -> DeadlineExceededError:
    """Return the error of a deadline that has passed."""
    return DeadlineExceededError("the result was not ready in time; try again later")
