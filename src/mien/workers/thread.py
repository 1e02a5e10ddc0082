"""Workers that are threads of this process, as an alternative to child processes."""

import asyncio
import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mien.deadline import Deadline
from mien.workers.task import Task, result_of

__all__ = ["ThreadWorker"]


class ThreadWorker:
    """A worker that is a thread, with the methods of a ``ProcessWorker``; it cannot be killed.

    ``threads`` and ``state``, which one of them builds, are shared by all workers of a pool.
    """

    stop_s = None

    def __init__(self, threads: ThreadPoolExecutor, state: Future[Any]) -> None:
        self._threads, self._building = threads, state
        self._deadline = Deadline(math.inf)

    async def start(self) -> None:
        self._state = await asyncio.wrap_future(self._building)

    async def execute(self, task: Task) -> Any:
        self._deadline = deadline = Deadline(task.deadline.at_s)

        def call() -> Any:
            task.start()
            return result_of(deadline, task.function, self._state, *task.arguments)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def cancel(self) -> None:
        self._deadline.expire()

    async def end(self, within_s: float) -> None:  # noqa: ARG002
        self.cancel()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
