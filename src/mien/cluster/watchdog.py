"""A thread that reports when nothing has happened for too long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread

__all__ = ["stalls_reported"]


@contextmanager
def stalls_reported(
    limit_s: float, report: Callable[[float], None]
) -> Iterator[Callable[[], None]]:
    """Yield a function to be called whenever something has happened.

    Within the block, ``report`` is called with the seconds since then, each time that ``limit_s``
    seconds have passed without another call.
    """
    # True: something has happened; False: the block has ended.
    events: SimpleQueue[bool] = SimpleQueue()

    def watch() -> None:
        since_s = time.monotonic()
        while True:
            try:
                if not events.get(timeout=limit_s):
                    return
                since_s = time.monotonic()
            except Empty:
                report(time.monotonic() - since_s)

    thread = Thread(target=watch, name="mien-watchdog", daemon=True)
    thread.start()
    try:
        yield lambda: events.put(True)
    finally:
        events.put(False)
        thread.join()
