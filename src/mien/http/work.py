"""Where slow work happens: a bounded pool of threads behind a bounded queue.

Handlers hand over functions and wait; how these are scheduled is decided here alone. Pictures of
several requests are not put into one batch: python -m benchmarks.batches measures whether to.
"""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from mien.deadline import Deadline, check_deadline, too_late
from mien.errors import QueueFullError

__all__ = ["Done", "WorkQueue"]

_Answer = TypeVar("_Answer")

# Enough pieces for a steady median, few enough to follow when other pictures come.
_RECENT = 101


@dataclass(frozen=True, slots=True)
class Done(Generic[_Answer]):
    """What came of one piece of work.

    queued_s: how long it waited for a thread; began_s: since when, as ``time.perf_counter`` counts.
    """

    answer: _Answer | BaseException
    queued_s: float = 0.0
    began_s: float = 0.0

    def unwrap(self) -> _Answer:
        """Return the answer, or raise what stopped it."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class WorkQueue:
    """Runs work in ``threads`` threads; at most ``max_waiting`` more pieces may wait.

    waiting: entered for each piece while it waits, to be counted.
    Used from one event loop, so its counters need no lock.
    """

    def __init__(
        self,
        *,
        threads: int,
        max_waiting: int,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._waiting = waiting
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien")
        # The loop hands out the threads: what waits can then be given up without a trace.
        self._free = asyncio.Semaphore(threads)
        self._capacity = threads + max_waiting
        # Waiting or running; what runs counts until its thread is free, whoever waits for it.
        self._unfinished = 0
        self._recent_s: deque[float] = deque(maxlen=_RECENT)

    @property
    def retry_after_s(self) -> float:
        """How long, in seconds, until what is here now should be done, as recent pieces went."""
        each_s = statistics.median(self._recent_s) if self._recent_s else 0.0
        return each_s * self._unfinished / self._threads

    def check_room(self, pieces: int = 1) -> None:
        """Raise QueueFullError if so much more work would not be taken now."""
        if self._unfinished + pieces > self._capacity:
            raise QueueFullError(
                "too many pictures are waiting; try again in a moment",
                retry_after_s=self.retry_after_s,
            )

    async def run_all(
        self, works: Sequence[Callable[[], _Answer]], deadline: Deadline, *, reserved: bool = False
    ) -> list[Done[_Answer]]:
        """Return what came of each piece, in order; one that fails leaves the others alone.

        Raises QueueFullError if they do not all fit; reserved: they do, as places of another kind
        were taken before. A piece that is not done by the deadline is
        a DeadlineExceededError; if it has begun, its thread is free once it notices. Whoever
        cancels this lets the deadline expire.
        """
        if not reserved:
            self.check_room(len(works))
        self._unfinished += len(works)
        try:
            return await asyncio.gather(*(self._run(work, deadline) for work in works))
        except asyncio.CancelledError:
            deadline.expire()
            raise

    def close(self) -> None:
        """Wait for running work, then give the threads back."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], _Answer], deadline: Deadline) -> Done[_Answer]:
        began_s = time.perf_counter()
        try:
            with self._waiting():
                async with asyncio.timeout(deadline.left_s):
                    await self._free.acquire()
        except TimeoutError:
            self._unfinished -= 1
            return Done(too_late(), time.perf_counter() - began_s, began_s)
        except asyncio.CancelledError:
            self._unfinished -= 1
            raise
        queued_s = time.perf_counter() - began_s
        running = asyncio.get_running_loop().run_in_executor(self._pool, _outcome, work, deadline)
        running.add_done_callback(self._release)
        await asyncio.wait((running,), timeout=max(0.0, deadline.left_s))
        answer = running.result().answer if running.done() else too_late()
        return Done(answer, queued_s, began_s)

    def _release(self, finished: "asyncio.Future[_Outcome[_Answer]]") -> None:
        self._unfinished -= 1
        self._free.release()
        if not finished.cancelled():
            self._recent_s.append(finished.result().seconds)


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[_Answer]):
    """What a thread gives back. seconds: how long it was busy."""

    answer: _Answer | BaseException
    seconds: float


def _outcome(work: Callable[[], _Answer], deadline: Deadline) -> _Outcome[_Answer]:
    """Run one piece of work in its thread; never raises.

    Not left to the pool: what some exceptions mean to coroutines, StopIteration for one, would
    leave the caller waiting.
    """
    began_s = time.perf_counter()
    answer: _Answer | BaseException
    try:
        with deadline.observed():
            check_deadline()
            answer = work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this piece's alone
        answer = error
    return _Outcome(answer, time.perf_counter() - began_s)
