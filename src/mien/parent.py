"""For processes that serve another one: not to outlive it, nor to hear what is for it alone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait

__all__ = ["end_with_parent", "signals_held"]


def end_with_parent() -> None:
    """From now on end this process, whatever it does, once its parent has ended."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(1)


@contextmanager
def signals_held(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Let no such signal to all end a process that begins in this block, before it ignores them."""
    if os.name != "posix":
        yield
        return
    # It would let them through when it begins.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
