"""Workers that are threads of this process, as an alternative to child processes."""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mien.deadline import Deadline
from mien.workers.task import Task, result_of

__all__ = ["ThreadWorker", "Threads"]


class Threads:
    """Threads that share one state."""

    def __init__(self, build: Callable[[], Any], count: int) -> None:
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="mien-worker")
        self._build, self._lock = build, threading.Lock()
        self._built: list[Any] = []

    def state(self) -> Any:
        """Return the state; the first call builds it."""
        with self._lock:
            if not self._built:
                self._built.append(self._build())
            return self._built[0]


class ThreadWorker:
    """A worker that is a thread, with the methods of a ``ProcessWorker``; it cannot be killed."""

    stop_s = None

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._deadline = Deadline(math.inf)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._state = await loop.run_in_executor(self._threads.pool, self._threads.state)

    async def execute(self, task: Task) -> Any:
        self._deadline = deadline = Deadline(task.deadline.at_s)

        def call() -> Any:
            task.start()
            return result_of(deadline, task.function, self._state, *task.arguments)

        return await asyncio.get_running_loop().run_in_executor(self._threads.pool, call)

    def cancel(self) -> None:
        self._deadline.expire()

    async def end(self, within_s: float) -> None:  # noqa: ARG002
        self.cancel()
        await asyncio.to_thread(self._threads.pool.shutdown, cancel_futures=True)
