"""For processes that serve another one: not to outlive it, however it ends."""

import multiprocessing
import os
import threading
from contextlib import suppress
from multiprocessing.connection import wait

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From now on end this process, whatever it does, once its parent has ended."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(1)
