"""Telling that nothing has happened for too long."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Watchdog"]


class Watchdog:
    """Calls ``bark`` with the seconds since it was last fed, every ``patience_s`` without food.

    It runs in a thread of its own, between ``__enter__`` and ``__exit__``.
    """

    def __init__(self, patience_s: float, bark: Callable[[float], None]) -> None:
        self._patience_s, self._bark = patience_s, bark
        self._fed_s = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mien-watchdog", daemon=True)

    def feed(self) -> None:
        """Say that something has happened."""
        self._fed_s = time.monotonic()

    def __enter__(self) -> "Watchdog":
        self.feed()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        due_s = self._fed_s + self._patience_s
        while not self._over.wait(max(0.0, due_s - time.monotonic())):
            now_s = time.monotonic()
            if now_s - self._fed_s >= self._patience_s:
                self._bark(now_s - self._fed_s)
                due_s = now_s + self._patience_s
            else:
                due_s = self._fed_s + self._patience_s
