"""All cores of this machine: a process for each, so that none waits for another's Python."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from mien.parent import end_with_parent, signals_held

__all__ = ["Processes", "WorkerDiedError"]

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

# Ahead of the oldest that is not done, for each process: a slow photo keeps none idle, and no more
# than this waits to be written.
_AHEAD = 8


class WorkerDiedError(Exception):
    """A process ended without an answer, twice with the same item: killed, or out of memory."""


class Processes(Generic[_Item, _Answer]):
    """As many processes, each with its own copy of what ``build`` returns to work on items.

    Both ``build`` and what is sent either way must pickle. A process that dies is replaced, and
    what was under way is tried again, each alone: only what kills its process again is given up.
    """

    def __init__(self, build: Callable[[], Callable[[_Item], _Answer]], processes: int) -> None:
        self._build, self._processes = build, processes
        self._pool = self._new_pool(processes)

    def in_order(self, items: Iterable[_Item]) -> Iterator[tuple[_Item, _Answer | WorkerDiedError]]:
        """Yield ``(item, answer)`` for each item, in order, and end the processes."""
        under_way: deque[tuple[_Item, Future[_Answer]]] = deque()
        try:
            for item in items:
                under_way.append((item, self._submit(item)))
                while len(under_way) >= _AHEAD * self._processes or under_way[0][1].done():
                    yield self._answered(*under_way.popleft())
                    if not under_way:
                        break
            while under_way:
                yield self._answered(*under_way.popleft())
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _submit(self, item: _Item) -> "Future[_Answer]":
        try:
            return _submitted(self._pool, item)
        except BrokenProcessPool:
            self._pool.shutdown()
            self._pool = self._new_pool(self._processes)
            return _submitted(self._pool, item)

    def _answered(
        self, item: _Item, future: "Future[_Answer]"
    ) -> tuple[_Item, _Answer | WorkerDiedError]:
        try:
            return item, future.result()
        except BrokenProcessPool:
            return item, self._alone(item)

    def _alone(self, item: _Item) -> _Answer | WorkerDiedError:
        with self._new_pool(1) as pool:
            try:
                answer: _Answer = _submitted(pool, item).result()
            except BrokenProcessPool:
                return WorkerDiedError()
            return answer

    def _new_pool(self, processes: int) -> ProcessPoolExecutor:
        # Threads and sessions do not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            processes, mp_context=context, initializer=_begin, initargs=(self._build,)
        )


def _submitted(pool: ProcessPoolExecutor, item: Any) -> "Future[Any]":
    # It may begin a process for it, which would print where Ctrl-C found it.
    with signals_held([signal.SIGINT]):
        return pool.submit(_work, item)


# Each process's own; an initializer can leave it nowhere else.
_state: dict[str, Callable[[Any], Any]] = {}


def _begin(build: Callable[[], Callable[[Any], Any]]) -> None:
    # Ctrl-C goes to all processes of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool would leave it waiting.
    end_with_parent()
    _state["work"] = build()


def _work(item: Any) -> Any:
    return _state["work"](item)
