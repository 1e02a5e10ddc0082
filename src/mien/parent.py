"""For worker processes: end with the parent, and start and end without being interrupted."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

__all__ = ["HANGUPS", "STOP_SIGNALS", "interrupt_held", "signals_held", "when_parent_ends"]

# A closing terminal sends SIGHUP to all processes started in it; Windows has no such signal.
HANGUPS = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *HANGUPS)


def when_parent_ends(act: Callable[[], object]) -> None:
    """Call ``act`` in a thread as soon as the parent process, if there is one, has ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(join: Callable[[], None]) -> None:
        with suppress(OSError):
            join()
        act()

    threading.Thread(target=watch, args=(parent.join,), daemon=True).start()


@contextmanager
def signals_held(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread and in processes that start in the block.

    A new process gets time to ignore signals that a terminal sends to all its processes.
    """
    if os.name != "posix":
        yield
        return
    # Otherwise the resource tracker starts with the first process and unblocks the signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: held.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held.is_set():
        signal.raise_signal(signal.SIGINT)
