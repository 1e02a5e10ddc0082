"""Child processes: they end with their parent and leave its signals to it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait

__all__ = ["HANGUPS", "STOP_SIGNALS", "end_with_parent", "signals_held"]

# A closing terminal sends SIGHUP to all processes started in it; Windows has no such signal.
HANGUPS = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *HANGUPS)


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, whatever it does then."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(1)


@contextmanager
def signals_held(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Hold these signals back in child processes started in this block, until they ignore them."""
    if os.name != "posix":
        yield
        return
    # It would unblock them when it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
