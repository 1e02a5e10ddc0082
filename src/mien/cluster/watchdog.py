"""A timer that reports when nothing has happened for too long."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Watchdog"]


class Watchdog:
    """Calls a function whenever ``limit_s`` have passed since the last reset or call.

    It runs in a thread of its own between ``__enter__`` and ``__exit__``.

    Args:
        limit_s: The time without a reset, in seconds.
        on_stall: Called with the seconds since the last reset.
    """

    def __init__(self, limit_s: float, on_stall: Callable[[float], None]) -> None:
        self._limit_s, self._on_stall = limit_s, on_stall
        self._reset_at_s = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mien-watchdog", daemon=True)

    def reset(self) -> None:
        """Start the time again, since something has happened."""
        self._reset_at_s = time.monotonic()

    def __enter__(self) -> "Watchdog":
        self.reset()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        due_s = self._reset_at_s + self._limit_s
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            now_s = time.monotonic()
            if now_s - self._reset_at_s >= self._limit_s:
                self._on_stall(now_s - self._reset_at_s)
                due_s = now_s + self._limit_s
            else:
                due_s = self._reset_at_s + self._limit_s
