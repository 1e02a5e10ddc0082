"""Stopping between steps: the first Ctrl-C asks, the second one insists."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stop_asked"]


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into an answer of the function that is given.

    From then on the signals do again what they did before.
    """
    asked: list[int] = []

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        restore()
        print("saving; once more to stop without saving", file=sys.stderr)

    previous = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        restore()
