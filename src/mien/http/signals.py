"""Being asked to stop: noticed before the server acts on it, and by a terminal that closes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["HANGUPS", "hangup_as_stop", "noticing_shutdown"]

# What a terminal that closes sends to all processes that were begun in it; Windows has none.
HANGUPS = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()


@contextmanager
def hangup_as_stop() -> Iterator[None]:
    """Take a hangup for SIGTERM, unless it is to be outlived, as with ``nohup``."""
    ending = [number for number in HANGUPS if signal.getsignal(number) == signal.SIG_DFL]
    for number in ending:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def noticing_shutdown(notice: Callable[[], None], *, delay_s: float = 0.0) -> Iterator[None]:
    """Call ``notice`` on SIGTERM or SIGINT, then whatever handled them before.

    The server tells an application only after the last connection has closed: too late to say
    that nothing more should come. And it closes its door at once, so that whoever was about to
    enter finds it shut: on SIGTERM it is told only after ``delay_s``, on SIGINT, and when asked
    again, without delay. Outside the main thread, where signals can't be had, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    waiting: list[threading.Timer] = []

    def handle(number: int, frame: FrameType | None) -> None:
        before = previous[signal.Signals(number)]
        if not callable(before):
            return
        notice()
        if number == signal.SIGTERM and delay_s and not waiting:
            # Repeated as a signal, so that it is handled in the main thread again.
            waiting.append(threading.Timer(delay_s, signal.raise_signal, (number,)))
            waiting[0].daemon = True
            waiting[0].start()
        else:
            before(number, frame)

    # A default action is no handler: to take its place would be to ignore the signal.
    for number, before in previous.items():
        if callable(before):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for timer in waiting:
            timer.cancel()
        for number, before in previous.items():
            if callable(before):
                signal.signal(number, before)
