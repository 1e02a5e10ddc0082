"""Stop signals: the application is notified first, and SIGHUP is handled like SIGTERM."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mien.parent import HANGUPS

__all__ = ["hangup_as_stop", "on_shutdown"]


@contextmanager
def hangup_as_stop() -> Iterator[None]:
    """Treat SIGHUP as SIGTERM, unless it is ignored, as under ``nohup``."""
    ending = [number for number in HANGUPS if signal.getsignal(number) == signal.SIG_DFL]
    for number in ending:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def on_shutdown(stop: Callable[[], None], *, delay_s: float = 0.0) -> Iterator[None]:
    """Call ``stop`` on SIGTERM or SIGINT, then whatever handled them before.

    The server stops listening at once and notifies the application only after the last connection
    has closed. A load balancer that has not yet seen a failed probe would find the port closed.
    Therefore the server gets SIGTERM only after ``delay_s``; SIGINT, and a second signal, without
    delay. Outside the main thread, which alone can handle signals, this does nothing.
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
        stop()
        if number == signal.SIGTERM and delay_s and not waiting:
            # Repeated as a signal, so that it is handled in the main thread again.
            waiting.append(threading.Timer(delay_s, signal.raise_signal, (number,)))
            waiting[0].daemon = True
            waiting[0].start()
        else:
            before(number, frame)

    # Default actions stay: a handler that calls nothing would ignore the signal.
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
