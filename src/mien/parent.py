"""For worker processes: end with the parent, and start without being interrupted."""

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
    """End this process, whatever it is doing, as soon as its parent process has ended."""
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(1)


@contextmanager
def signals_held(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread and in processes that start in the block.

    A new process so has time to ignore a signal that goes to all processes of a terminal.
    """
    if os.name != "posix":
        yield
        return
    # It starts with the first process, and would unblock the signals then.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
