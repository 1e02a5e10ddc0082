"""The pool: its queue, and its workers."""

import asyncio
import logging
import math
import socket
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

from mien.deadline import Deadline, too_late
from mien.errors import QueueFullError
from mien.workers.process import ProcessWorker, close_all
from mien.workers.task import Outcome, Task, WorkerDiedError
from mien.workers.thread import ThreadWorker

__all__ = ["WorkerPool"]

_State = TypeVar("_State")
_Result = TypeVar("_Result")

_EXIT_S = 2.0
_RESTART_S = 1.0
# Enough tasks for a steady median, few enough to adapt when the images change.
_RECENT = 101

_log = logging.getLogger("mien.workers")


class WorkerPool(Generic[_State]):
    """Runs tasks in worker processes; each calls ``build`` once and keeps what that returns.

    Used from one event loop. Arguments and results are pickled. Tasks stop at their deadline if
    they call ``check_deadline``; a worker whose task does not stop is killed. A worker that was
    killed or has died is replaced. Its task fails with WorkerDiedError, or runs once more if it had
    not started.
    """

    def __init__(
        self,
        build: Callable[[], _State],
        count: int,
        *,
        max_waiting: int | None = None,
        processes: bool = True,
        fail_waiting: bool = False,
        report_waiting: Callable[[int], object] = int,
    ) -> None:
        """Prepare the pool; ``start`` starts the workers.

        Args:
            build: Returns the first argument of every task, such as a loaded model. It should also
                warm up the model: a worker is ready once ``build`` returns.
            count: Number of workers.
            max_waiting: Tasks that may wait for a worker. None: any number.
            processes: False: the workers are threads of this process that share one state. They
                cannot be killed.
            fail_waiting: If a worker cannot be replaced, fail the first waiting task. False: tasks
                wait until their deadline.
            report_waiting: Called with the number of waiting tasks whenever it may have changed.
        """
        self._build, self.count = build, count
        self._max_waiting, self._report_waiting = max_waiting, report_waiting
        self._processes, self._fail_waiting = processes, fail_waiting
        self._workers: Sequence[ProcessWorker | ThreadWorker] = []
        self._slots: list[asyncio.Task[None]] = []
        self._waiting: deque[Task] = deque()
        # Last in, first out: the data of the worker used last is in the processor's caches.
        self._idle: list[asyncio.Future[Task]] = []
        self._unfinished = 0
        self._closed = False
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._sockets: set[socket.socket] = set()
        # The interpreter waits for its child processes when it exits. These end with their socket.
        self._disconnect = Finalize(self, close_all, args=(self._sockets,), exitpriority=0)

    @property
    def process_ids(self) -> list[int]:
        """Ids of the worker processes."""
        processes = (getattr(worker, "process", None) for worker in self._workers)
        return [process.pid for process in processes if process is not None]

    @property
    def retry_after_s(self) -> float:
        """Seconds until the tasks submitted so far are done, by the median of recent tasks."""
        each_s = statistics.median(self._recent_s) if self._recent_s else 0.0
        return each_s * self._unfinished / self.count

    def check_room(self, tasks: int = 1) -> None:
        """Raise QueueFullError if the queue has no room for this many tasks."""
        if self._max_waiting is None:
            return
        if self._unfinished + tasks > self.count + self._max_waiting:
            raise QueueFullError(
                "too many images are waiting; try again in a moment",
                retry_after_s=self.retry_after_s,
            )

    async def start(self) -> None:
        """Start the workers and wait until all are ready. Raises what ``build`` raises."""
        if self._processes:
            self._workers = [ProcessWorker(self._build, self._sockets) for _ in range(self.count)]
        else:
            threads = ThreadPoolExecutor(self.count, thread_name_prefix="mien-worker")
            state = threads.submit(self._build)
            self._workers = [ThreadWorker(threads, state) for _ in range(self.count)]
        starting = [asyncio.ensure_future(worker.start()) for worker in self._workers]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for start in starting:
                start.cancel()
            await asyncio.wait(starting)
            await self.close()
            raise
        self._slots = [asyncio.create_task(self._serve(worker)) for worker in self._workers]

    async def run(
        self,
        function: Callable[..., _Result],
        *arguments: Any,
        deadline: Deadline | None = None,
    ) -> _Result:
        """Return ``function(state, *arguments)``, called in a worker.

        Raises:
            QueueFullError: Too many tasks wait.
            DeadlineExceededError: There was no result before the deadline, or the pool is closed.
            WorkerDiedError: The worker ended before the result.
            MienError: The function raised it.
            TaskError: The function raised any other error.
        """
        (outcome,) = await self.run_all(function, [arguments], deadline=deadline)
        return outcome.unwrap()

    async def run_all(
        self,
        function: Callable[..., _Result],
        arguments: Iterable[tuple[Any, ...]],
        *,
        deadline: Deadline | None = None,
        reserved: bool = False,
    ) -> list[Outcome[_Result]]:
        """Return the outcome of ``function(state, *arguments)`` for each tuple, in order.

        An error of one task is its outcome; the others are not affected. Cancelling this call
        cancels its tasks.

        Args:
            function: A function of a module.
            arguments: Those of each task.
            deadline: Common to all tasks.
            reserved: True: accept the tasks even if the queue is full; other limits apply to them.

        Raises:
            QueueFullError: The queue has no room for all tasks; none was accepted.
        """
        limit = deadline or Deadline(math.inf)
        future = asyncio.get_running_loop().create_future
        tasks = [Task(function, each, limit, future()) for each in arguments]
        if not reserved:
            self.check_room(len(tasks))
        for task in tasks:
            self._submit(task)
        return list(await asyncio.gather(*map(self._outcome, tasks)))

    async def close(self) -> None:
        """Cancel all tasks and end the workers; later tasks are cancelled at once."""
        self._closed = True
        for task in [*self._slots, *(waiting.future for waiting in self._waiting)]:
            task.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        if self._workers:
            await asyncio.gather(*(worker.end(_EXIT_S) for worker in self._workers))
        self._disconnect()

    def _submit(self, task: Task, *, first: bool = False) -> None:
        if self._closed:
            task.future.cancel()
            return
        self._count(1)
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(task)
                return
        (self._waiting.appendleft if first else self._waiting.append)(task)

    async def _outcome(self, task: Task) -> Outcome[Any]:
        try:
            async with asyncio.timeout(task.deadline.left_s):
                return task.outcome(await task.future)
        except TimeoutError:
            return task.outcome(too_late())
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            # The pool was closed.
            return task.outcome(too_late())
        except Exception as error:  # noqa: BLE001 - the task's own
            return task.outcome(error)
        finally:
            if task in self._waiting:
                self._waiting.remove(task)
                self._count(-1)

    async def _next(self) -> Task:
        if self._waiting:
            return self._waiting.popleft()
        idle: asyncio.Future[Task] = asyncio.get_running_loop().create_future()
        self._idle.append(idle)
        try:
            return await idle
        except asyncio.CancelledError:
            if not idle.cancelled():
                # The pool was closed just after a task was handed over.
                idle.result().future.cancel()
            raise

    async def _serve(self, worker: ProcessWorker | ThreadWorker) -> None:
        """Run tasks in one worker for as long as the pool is open."""
        while True:
            task = await self._next()
            try:
                alive = await self._execute(worker, task)
            except asyncio.CancelledError:
                task.future.cancel()
                raise
            finally:
                self._count(-1)
            if not alive:
                await self._restart(worker)

    async def _execute(self, worker: ProcessWorker | ThreadWorker, task: Task) -> bool:
        """Run one task; return whether the worker can run another."""
        if task.future.done():
            return True
        executing = asyncio.ensure_future(worker.execute(task))
        try:
            await asyncio.wait((executing, task.future), return_when=asyncio.FIRST_COMPLETED)
            if not executing.done():
                # The deadline has passed, or the client has disconnected.
                worker.cancel()
                await asyncio.wait((executing,), timeout=worker.stop_s)
            if not executing.done():
                _log.error("a worker process does not stop at its deadline and is killed")
                return False
            try:
                task.finish(executing.result())
            except WorkerDiedError as error:
                self._fail(task, error)
                return False
            except Exception as error:  # noqa: BLE001 - such as arguments that do not pickle
                task.finish(error)
            if task.started_s is not None:
                self._recent_s.append(time.perf_counter() - task.started_s)
            return True
        finally:
            executing.cancel()

    def _fail(self, task: Task, error: WorkerDiedError) -> None:
        """Run a task again if its worker had not started it; fail it otherwise."""
        if task.started_s is not None or task.retried:
            task.finish(error)
        elif not task.future.done():
            task.retried = True
            self._submit(task, first=True)

    async def _restart(self, worker: ProcessWorker | ThreadWorker) -> None:
        while True:
            try:
                await worker.end(0)
                await worker.start()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
                # Such as too little memory for another process.
                expected = isinstance(error, WorkerDiedError)
                _log.error("a worker process could not start: %s", error, exc_info=not expected)
                if self._fail_waiting and self._waiting:
                    self._waiting[0].finish(error)
                await asyncio.sleep(_RESTART_S)
            else:
                return

    def _count(self, tasks: int) -> None:
        self._unfinished += tasks
        self._report_waiting(max(0, self._unfinished - self.count))
