"""Tasks for the tests of worker processes."""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mien.deadline import check_deadline
from mien.errors import ArtifactError, MienError, QueueFullError, TruncatedImageError


class AwkwardError(MienError):
    """Can be pickled, but not be rebuilt from that."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(f"{message} {why}")


def build() -> str:
    return "state"


def build_slowly_from_the_third_on(folder: Path) -> str:
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) > 2:
        time.sleep(3)
    return "state"


def build_without_sense() -> str:
    raise ZeroDivisionError("makes no sense")


def build_without_model() -> str:
    raise ArtifactError("can't read the model file x.onnx")


class Unprintable:
    """An argument whose representation must not be used."""

    def __repr__(self) -> str:
        raise AssertionError("formatted")


def echo(state: str, value: object = None) -> tuple[int, str, object]:
    """Return the process, its state and the value."""
    return os.getpid(), state, value


def nap(state: str, seconds: float, started: Path | None = None) -> int:
    """Sleep without checking the deadline. started: a file that exists from then on."""
    if started:
        started.touch()
    time.sleep(seconds)
    return os.getpid()


def run_until_deadline(state: str, started: Path | None = None) -> None:
    if started:
        started.touch()
    while True:
        check_deadline()
        time.sleep(0.005)


def wait_for(state: str, file: Path) -> int:
    while not file.exists():
        time.sleep(0.005)
    return os.getpid()


def add(state: str, file: Path, text: str) -> None:
    """Note that this task ran."""
    with file.open("a") as notes:
        notes.write(text)


def divide(state: str) -> float:
    return 1 / 0


def leave(state: str) -> None:
    sys.exit(3)


def stop_iteration(state: str) -> None:
    raise StopIteration


def unpicklable_result(state: str) -> object:
    return threading.Lock()


def raise_truncated(state: str) -> None:
    raise TruncatedImageError("this image is cut off")


def raise_full(state: str) -> None:
    raise QueueFullError("too many", retry_after_s=7.5)


def raise_awkward(state: str) -> None:
    raise AwkwardError("can not be", why="rebuilt")


def raise_locked(state: str) -> None:
    error = TruncatedImageError("holds a lock")
    error.lock = threading.Lock()
    raise error


slow_build: Callable[[Path], Callable[[], str]] = partial(partial, build_slowly_from_the_third_on)
