"""Where slow work happens: a bounded pool of threads behind a bounded queue.

Handlers hand over functions and wait; how these are scheduled, and later whether pictures of
several requests share a batch, is decided here alone.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from mien.deadline import Deadline, too_late
from mien.errors import QueueFullError

__all__ = ["Done", "WorkQueue"]

_Answer = TypeVar("_Answer")
# How much of the mean time of a piece is the newest one's.
_NEW_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Done(Generic[_Answer]):
    """What came of one piece of work. queued_s: how long it waited for a thread."""

    answer: _Answer | BaseException
    queued_s: float = 0.0

    def unwrap(self) -> _Answer:
        """Return the answer, or raise what stopped it."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class WorkQueue:
    """Runs work in ``threads`` threads; at most ``max_waiting`` more pieces may wait.

    Used from one event loop, so its counters need no lock.
    """

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien")
        # The loop hands out the threads: what waits can then be given up without a trace.
        self._free = asyncio.Semaphore(threads)
        self._threads = threads
        self._capacity = threads + max_waiting
        self._admitted = 0
        self._work_s = 0.0

    def check_room(self, pieces: int = 1) -> None:
        """Raise QueueFullError if so much more work would not be taken now."""
        if self._admitted + pieces > self._capacity:
            raise QueueFullError(
                "too many pictures are waiting; try again in a moment",
                retry_after_s=self._admitted * self._work_s / self._threads,
            )

    async def run_all(
        self, works: Sequence[Callable[[], _Answer]], deadline: Deadline
    ) -> list[Done[_Answer]]:
        """Return what came of each piece, in order; one that fails leaves the others alone.

        Raises QueueFullError if they do not all fit. A piece that is not done by the deadline is
        a DeadlineExceededError; if it has begun, its thread is free once it notices.
        """
        self.check_room(len(works))
        self._admitted += len(works)
        try:
            return await asyncio.gather(*(self._run(work, deadline) for work in works))
        finally:
            self._admitted -= len(works)

    def close(self) -> None:
        """Wait for running work, then give the threads back."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], _Answer], deadline: Deadline) -> Done[_Answer]:
        began = time.monotonic()
        queued_s = 0.0
        try:
            async with asyncio.timeout(deadline.left_s):
                await self._free.acquire()
                queued_s = time.monotonic() - began
                began_work = time.monotonic()
                running = asyncio.get_running_loop().run_in_executor(
                    self._pool, _observing(deadline, work)
                )
                running.add_done_callback(self._release)
                # Not the return value of gather: a failure must keep its place and its wait.
                await asyncio.wait((running,))
                self._work_s += _NEW_SHARE * (time.monotonic() - began_work - self._work_s)
        except TimeoutError:
            return Done(too_late(), queued_s or time.monotonic() - began)
        error = running.exception()
        return Done(running.result() if error is None else error, queued_s)

    def _release(self, finished: "asyncio.Future[_Answer]") -> None:
        self._free.release()
        if not finished.cancelled():
            # Nobody may be waiting any more: looked at, so that asyncio does not complain.
            finished.exception()


def _observing(deadline: Deadline, work: Callable[[], _Answer]) -> Callable[[], _Answer]:
    def run() -> _Answer:
        with deadline.observed():
            return work()

    return run
