"""A task and its outcome."""

import asyncio
import pickle
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mien.deadline import Deadline, check_deadline
from mien.errors import MienError

__all__ = ["Outcome", "Task", "TaskError", "WorkerDiedError", "picklable", "result_of"]

_Result = TypeVar("_Result")


class WorkerDiedError(Exception):
    """The worker process ended before it returned the result of the task."""


class TaskError(Exception):
    """A task raised something other than a ``MienError``; the message is its traceback."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[_Result]):
    """The result of a task, or the error it raised.

    Attributes:
        result: What the task returned or raised.
        queued_s: Seconds until a worker began the task.
        submitted_s: When the task was submitted, on the clock of ``time.perf_counter``.
    """

    result: _Result | BaseException
    queued_s: float = 0.0
    submitted_s: float = 0.0

    def unwrap(self) -> _Result:
        """Return the result, or raise the error."""
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@dataclass(slots=True, eq=False)
class Task:
    """A call of a function in a worker. ``future``: its result."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    deadline: Deadline
    future: "asyncio.Future[Any]"
    submitted_s: float = field(default_factory=time.perf_counter)
    started_s: float | None = None
    retried: bool = False

    def start(self) -> None:
        """Note that a worker begins."""
        self.started_s = time.perf_counter()

    def finish(self, result: Any) -> None:
        """Set the result, unless the future was cancelled."""
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)

    def outcome(self, result: Any) -> Outcome[Any]:
        """Return a result with the times of this task."""
        started_s = time.perf_counter() if self.started_s is None else self.started_s
        return Outcome(result, started_s - self.submitted_s, self.submitted_s)


def result_of(deadline: Deadline, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the function's result, or the error it raises in a form that pickles."""
    try:
        with deadline.observed():
            check_deadline()
            return function(*arguments)
    except Exception as error:  # noqa: BLE001 - raised where the task was submitted
        return picklable(error)


def picklable(error: Exception) -> Exception:
    """Return a MienError that pickles as it is, and any other error as a TaskError."""
    # An error of a plugin may be of a kind that cannot be rebuilt.
    with suppress(Exception):
        if isinstance(error, MienError):
            return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return] # noqa: S301
    return TaskError("".join(traceback.format_exception(error)))
