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
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mien.deadline import Deadline, too_late
from mien.errors import QueueFullError

__all__ = ["Done", "WorkQueue"]

_Answer = TypeVar("_Answer")

# Enough pieces for a steady median, few enough to follow when other pictures come.
_RECENT = 101


@dataclass(frozen=True, slots=True)
class Done(Generic[_Answer]):
    """What came of one piece of work.

    queued_s: how long it waited for a thread; asked_s: since when, as ``time.perf_counter`` counts.
    """

    answer: _Answer | BaseException
    queued_s: float = 0.0
    asked_s: float = 0.0

    def unwrap(self) -> _Answer:
        """Return the answer, or raise what stopped it."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class WorkQueue:
    """Runs work in ``threads`` threads; at most ``max_waiting`` more pieces may wait.

    tell_depth: is told how many wait, whenever that changes.
    Used from one event loop, so its counters need no lock.
    """

    def __init__(
        self,
        *,
        threads: int,
        max_waiting: int,
        tell_depth: Callable[[int], object] = int,
    ) -> None:
        self._tell_depth = tell_depth
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien")
        # What waits here can be given up without a trace. Each thread has its next piece at hand,
        # too: it would stand idle until the loop, which has others to serve, handed it out.
        self._free = asyncio.Semaphore(2 * threads)
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
        pieces = [_Piece(work, deadline) for work in works]
        self._change(len(pieces))
        try:
            return await asyncio.gather(*map(self._run, pieces))
        except asyncio.CancelledError:
            deadline.expire()
            raise
        finally:
            self._change(-sum(not piece.handed_out for piece in pieces))

    def close(self) -> None:
        """Wait for running work, then give the threads back."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, piece: "_Piece[_Answer]") -> Done[_Answer]:
        try:
            async with asyncio.timeout(piece.deadline.left_s):
                await self._free.acquire()
        except TimeoutError:
            return piece.done(too_late())
        running = asyncio.get_running_loop().run_in_executor(self._pool, piece.run)
        piece.handed_out = True
        running.add_done_callback(self._release)
        await asyncio.wait((running,), timeout=max(0.0, piece.deadline.left_s))
        return piece.done(running.result()[0] if running.done() else too_late())

    def _release(
        self, finished: "asyncio.Future[tuple[_Answer | BaseException, float | None]]"
    ) -> None:
        self._change(-1)
        self._free.release()
        if not finished.cancelled() and (seconds := finished.result()[1]) is not None:
            self._recent_s.append(seconds)

    def _change(self, pieces: int) -> None:
        self._unfinished += pieces
        self._tell_depth(max(0, self._unfinished - self._threads))


@dataclass(slots=True)
class _Piece(Generic[_Answer]):
    """A piece of work. handed_out: to the threads; begun_s: when one took it up, if it has."""

    work: Callable[[], _Answer]
    deadline: Deadline
    asked_s: float = field(default_factory=time.perf_counter)
    handed_out: bool = False
    begun_s: float | None = None

    def run(self) -> tuple[_Answer | BaseException, float | None]:
        """Return what came of it, and the seconds that took, if it was worked on; never raises.

        Not left to the pool: what some exceptions mean to coroutines, StopIteration for one, would
        leave the caller waiting.
        """
        self.begun_s = began_s = time.perf_counter()
        if self.deadline.left_s <= 0:
            return too_late(), None
        answer: _Answer | BaseException
        try:
            with self.deadline.observed():
                answer = self.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this piece's alone
            answer = error
        return answer, time.perf_counter() - began_s

    def done(self, answer: _Answer | BaseException) -> Done[_Answer]:
        """Return what to tell of it."""
        begun_s = time.perf_counter() if self.begun_s is None else self.begun_s
        return Done(answer, begun_s - self.asked_s, self.asked_s)
