"""Noticing that the process is asked to stop, before the server acts on it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["noticing_shutdown"]


@contextmanager
def noticing_shutdown(notice: Callable[[], None]) -> Iterator[None]:
    """Call ``notice`` on SIGTERM or SIGINT, then whatever handled them before.

    The server tells an application only after the last connection has closed: too late to say
    that nothing more should come. Outside the main thread, where signals can't be had, it does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        notice()
        before = previous[signal.Signals(number)]
        if callable(before):
            before(number, frame)

    # A default action is no handler: to take its place would be to ignore the signal.
    for number, before in previous.items():
        if callable(before):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in previous.items():
            if callable(before):
                signal.signal(number, before)
