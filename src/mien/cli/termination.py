"""Clean up on SIGTERM and SIGHUP, as Python does by itself on SIGINT only."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mien.parent import HANGUPS

__all__ = ["cleaning_up"]

_SIGNALS = (signal.SIGTERM, *HANGUPS)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Raise SystemExit on SIGTERM and SIGHUP, so that the block's cleanup runs.

    The exit status is 128 plus the signal's number, as shells report it. A signal that is ignored
    on entry, as SIGHUP is under ``nohup``, stays ignored.
    """
    handled = [number for number in _SIGNALS if signal.getsignal(number) == signal.SIG_DFL]

    def stop(number: int, _: FrameType | None) -> None:
        # A second signal must not interrupt the cleanup.
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
