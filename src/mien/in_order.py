"""Work on many items in threads, with the results in order."""

import atexit
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Generic, TypeAlias, TypeVar, cast

__all__ = ["in_order"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# One of the two is None.
_Outcome: TypeAlias = tuple[_Result | None, BaseException | None]


def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Generator[_Result, None, None]:
    """Yield ``work(item)`` for each item, in order, from a pool of threads.

    At most ``2 * threads`` items are in progress or waiting to be yielded.
    """
    pool = _Threads(work, threads)
    in_progress: deque[SimpleQueue[_Outcome[_Result]]] = deque()
    try:
        for item in items:
            in_progress.append(pool.submit(item))
            while in_progress and (len(in_progress) >= 2 * threads or not in_progress[0].empty()):
                yield _result(in_progress.popleft().get())
        while in_progress:
            yield _result(in_progress.popleft().get())
    finally:
        pool.stop()


class _Threads(Generic[_Item, _Result]):
    """At most ``count`` threads that work on items, without the locks of an executor.

    A thread starts with an item as long as there are fewer. If the system provides no more threads,
    those that have started do the work.

    If Ctrl-C interrupts an executor's lock, the lock may stay taken, and the program never ends.
    """

    def __init__(self, work: Callable[[_Item], _Result], count: int) -> None:
        self._work, self._count = work, count
        self._tasks: SimpleQueue[tuple[_Item, SimpleQueue[_Outcome[_Result]]] | None] = (
            SimpleQueue()
        )
        self._stopped = False
        self._threads: list[Thread] = []
        atexit.register(self.stop)

    def submit(self, item: _Item) -> SimpleQueue[_Outcome[_Result]]:
        """Return a queue that will have the outcome. Raises RuntimeError if no thread starts."""
        if len(self._threads) < self._count:
            self._start()
        outcome: SimpleQueue[_Outcome[_Result]] = SimpleQueue()
        self._tasks.put((item, outcome))
        return outcome

    def _start(self) -> None:
        # Python would wait at exit for threads of a generator that is not finished, unless they are
        # daemons.
        thread = Thread(target=self._run, name=f"mien_{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.remove(thread)
            self._count = len(self._threads)
            if not self._threads:
                raise

    def stop(self) -> None:
        """Drop the items that have not started, and wait for the others."""
        self._stopped = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            # Python may collect an unfinished generator in one of its threads.
            if thread.ident is not None and thread is not current_thread():
                thread.join()
        atexit.unregister(self.stop)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._stopped:
            item, outcome = task
            try:
                outcome.put((self._work(item), None))
            except BaseException as error:  # noqa: BLE001 -- raised to the consumer
                outcome.put((None, error))


def _result(outcome: _Outcome[_Result]) -> _Result:
    result, error = outcome
    if error is not None:
        raise error
    return cast("_Result", result)
