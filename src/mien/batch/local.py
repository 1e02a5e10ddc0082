"""Worker processes on this machine: one for each core."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeVar

from mien.errors import MienError
from mien.parent import HANGUPS, interrupt_held, signals_held, when_parent_ends

__all__ = ["ProcessesDiedError", "in_processes", "isolated"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Stopped = Callable[[], bool]

# Per process: one item in progress, and one ready for it.
_QUEUED = 2
# Restarts of all processes in a row without a single result.
_MAX_RESTARTS = 5
# A terminal sends them to all its processes.
_OF_TERMINALS = (signal.SIGINT, *HANGUPS)


class ProcessesDiedError(MienError):
    """The worker processes die before they finish anything."""


def in_processes(
    call: Callable[[_Item, Stopped], _Result], items: Sequence[_Item], processes: int
) -> Iterator[_Result]:
    """Yield ``call(item, stopped)`` for each item, as soon as it is ready, from worker processes.

    If a process dies, all are replaced and the items in progress are started again. Closing the
    iterator makes ``stopped()`` True in the processes, then waits for them.

    Args:
        call: Pickled into each process, which keeps its copy.
        items: Pickled too.
        processes: How many.

    Raises:
        ProcessesDiedError: They die again and again without a result.
    """
    context = multiprocessing.get_context("spawn")
    # Without a lock: a process that is killed could never release it.
    stop = context.RawValue("b", 0)
    start = partial(_new_pool, processes, partial(_with_stop, call, stop))
    waiting, restarts = deque(items), 0
    running: dict[Future[_Result], _Item] = {}
    pool = start()
    try:
        while waiting or running:
            died = False
            try:
                while waiting and len(running) < _QUEUED * processes:
                    future = _submit(pool, waiting[0])
                    running[future] = waiting.popleft()
            except BrokenProcessPool:
                died = True
            done = wait(running, return_when=FIRST_COMPLETED).done
            if died or any(isinstance(each.exception(), BrokenProcessPool) for each in done):
                died, done = True, wait(running).done
            for future in done:
                item = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    waiting.appendleft(item)
                else:
                    restarts = 0
                    yield future.result()
            if died:
                restarts += 1
                if restarts > _MAX_RESTARTS:
                    raise ProcessesDiedError(
                        "the worker processes die before they finish anything, perhaps for lack "
                        "of memory: try fewer at once with --threads"
                    )
                pool.shutdown()
                pool = start()
    finally:
        stop.value = 1
        _end(pool)


def isolated(
    build: Callable[[], Callable[[_Item], _Result]], items: Iterable[_Item]
) -> Iterator[_Result | None]:
    """Yield the result of each item in order, from one process that is replaced when it dies.

    The result of an item that ends the process twice is None.

    Args:
        build: Pickled into the process; what it returns is called with each item.
        items: Pickled too.
    """
    start = partial(_new_pool, 1, build)
    pool = start()
    try:
        for item in items:
            result: _Result | None = None
            for _ in range(2):
                try:
                    result = _submit(pool, item).result()
                    break
                except BrokenProcessPool:
                    pool.shutdown()
                    pool = start()
            yield result
    finally:
        _end(pool)


def _new_pool(processes: int, build: Callable[[], Callable[[Any], Any]]) -> ProcessPoolExecutor:
    # Threads and ONNX Runtime's sessions do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        processes, mp_context=context, initializer=_prepare, initargs=(build,)
    )


def _end(pool: ProcessPoolExecutor) -> None:
    # A second Ctrl-C would leave processes for which the interpreter waits when it exits.
    with interrupt_held():
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, item: Any) -> "Future[Any]":
    # This may start a process. Signals wait until it has started and ignores them.
    with signals_held([*_OF_TERMINALS, signal.SIGTERM]):
        return pool.submit(_call, item)


# The call of a worker process, set by its initializer.
_state: dict[str, Callable[[Any], Any]] = {}


def _prepare(build: Callable[[], Callable[[Any], Any]]) -> None:
    # Only the parent handles these signals. The pool ends its processes with SIGTERM.
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    # Immediately, even during an analysis.
    when_parent_ends(lambda: os._exit(1))
    _state["call"] = build()


def _with_stop(call: Callable[[Any, Stopped], Any], stop: Any) -> Callable[[Any], Any]:
    return lambda item: call(item, lambda: bool(stop.value))


def _call(item: Any) -> Any:
    return _state["call"](item)
