"""Calls in worker processes, for code without an event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

from mien.errors import MienError
from mien.parent import interrupt_held
from mien.workers.pool import WorkerPool
from mien.workers.task import Outcome, WorkerDiedError

__all__ = ["ProcessesDiedError", "in_processes", "isolated"]

_State = TypeVar("_State")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# Runs a coroutine in the event loop of a pool, and returns its result.
_Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]

# Deaths per process in a row without a single result, and attempts to start.
_MAX_DEATHS = 5
_DIED = (
    "the worker processes die before they finish anything, perhaps for lack of memory: try fewer "
    "at once with --threads"
)


class ProcessesDiedError(MienError):
    """The worker processes die before they finish anything."""


def in_processes(
    build: Callable[[], _State],
    call: Callable[[_State, _Item], _Result],
    items: Sequence[_Item],
    processes: int,
) -> Iterator[_Result]:
    """Yield ``call(build(), item)`` for each item, as soon as it is ready, from worker processes.

    If a process dies, it is replaced and its item is started again. Closing the iterator lets the
    deadline of the calls pass and ends the processes.

    Args:
        build: Pickled into each process, which calls it once.
        call: A function of a module.
        items: Pickled.
        processes: How many.

    Raises:
        ProcessesDiedError: They die again and again without a result.
    """
    waiting, deaths = deque(items), 0
    running: dict[asyncio.Task[list[Outcome[_Result]]], _Item] = {}

    async def finished() -> set[asyncio.Task[list[Outcome[_Result]]]]:
        while waiting and len(running) < processes:
            item = waiting.popleft()
            running[asyncio.create_task(pool.run_all(call, [(item,)]))] = item
        return (await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0]

    with _started(build, processes) as (pool, run):
        while waiting or running:
            for task in run(finished()):
                item, (outcome,) = running.pop(task), task.result()
                try:
                    result = outcome.unwrap()
                except WorkerDiedError as error:
                    waiting.appendleft(item)
                    deaths += 1
                    if deaths > _MAX_DEATHS * processes:
                        raise ProcessesDiedError(_DIED) from error
                else:
                    deaths = 0
                    yield result


def isolated(
    build: Callable[[], _State],
    call: Callable[[_State, _Item], _Result],
    items: Iterable[_Item],
) -> Iterator[_Result | None]:
    """Yield ``call(build(), item)`` in order, from one process that is replaced when it dies.

    The result of an item that ends the process twice is None. Arguments as for ``in_processes``.

    Raises:
        ProcessesDiedError: The process cannot be started.
    """
    with _started(build, 1) as (pool, run):
        for item in items:
            result: _Result | None = None
            for _ in range(2):
                with suppress(WorkerDiedError):
                    result = run(pool.run(call, item))
                    break
            yield result


@contextmanager
def _started(
    build: Callable[[], _State], processes: int
) -> Iterator[tuple[WorkerPool[_State], _Run]]:
    pool: WorkerPool[_State] | None = None
    with asyncio.Runner() as runner:
        try:
            pool = runner.run(_start(build, processes))
            yield pool, runner.run
        finally:
            # A second Ctrl-C would leave processes for which the interpreter waits when it exits.
            with interrupt_held():
                runner.run(_end(pool))


async def _start(build: Callable[[], _State], processes: int) -> WorkerPool[_State]:
    for _ in range(_MAX_DEATHS):
        pool = WorkerPool(build, processes, fail_waiting=True)
        with suppress(WorkerDiedError):
            await pool.start()
            return pool
    raise ProcessesDiedError(_DIED)


async def _end(pool: WorkerPool[Any] | None) -> None:
    """Cancel all tasks, also one that a signal has interrupted, and end the processes."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if pool is not None:
        await pool.close()
