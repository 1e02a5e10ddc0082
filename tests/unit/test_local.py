"""Worker processes of a run on this machine."""

import operator
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from mien.batch.local import ProcessesDiedError, in_processes, isolated
from mien.deadline import check_deadline
from mien.workers.task import TaskError
from programs import posix


class Upper:
    def __call__(self, text: str) -> str:
        return text.upper()


class InterruptedUpper(Upper):
    """Ctrl-C arrives as a process starts: when it unpickles this, before any of our code runs."""

    def __reduce__(self) -> tuple[object, ...]:
        return as_ctrl_c_arrives, ()


def as_ctrl_c_arrives() -> Upper:
    signal.raise_signal(signal.SIGINT)
    return Upper()


class UpperUntilStopped:
    """Creates a file when ``wait`` starts and one when it is stopped; others wait for its start."""

    def __init__(self, folder: Path) -> None:
        self.started, self.stopped = folder / "started", folder / "stopped"

    def __call__(self, text: str) -> str:
        if text == "wait":
            self.started.touch()
            try:
                while True:
                    check_deadline()
            finally:
                self.stopped.touch()
        while not self.started.exists():
            time.sleep(0.01)
        return text.upper()


class DiesOnce:
    """Ends its process at each item, unless it has been there before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str) -> str:
        try:
            (self.folder / text).touch(exist_ok=False)
        except FileExistsError:
            return text.upper()
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class DiesAt:
    def __init__(self, deadly: str) -> None:
        self.deadly = deadly

    def __call__(self, text: str) -> str:
        if text == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return text.upper()


@dataclass(frozen=True)
class Built:
    """Builds the state of a process."""

    state: Callable[[str], str]

    def __call__(self) -> Callable[[str], str]:
        return self.state


def call(state: Callable[[str], str], item: str) -> str:
    return state(item)


def process_of(dies_once: DiesOnce, item: str) -> int:
    time.sleep(0.1)
    if item == "deadly":
        dies_once(item)
    return os.getpid()


def upper(state: Callable[[str], str], items: list[str], processes: int) -> Iterator[str]:
    return in_processes(Built(state), call, items, processes)


@posix
def test_only_the_parent_handles_ctrl_c() -> None:
    assert sorted(upper(InterruptedUpper(), ["a", "b", "c"], 2)) == ["A", "B", "C"]


@posix
def test_items_of_a_dead_process_are_retried(tmp_path: Path) -> None:
    assert sorted(upper(DiesOnce(tmp_path), ["a", "b", "c"], 2)) == ["A", "B", "C"]


@posix
def test_only_a_dead_process_is_replaced(tmp_path: Path) -> None:
    dies_once = DiesOnce(tmp_path)
    items = ["1", "2", "3", "deadly", *map(str, range(4, 30))]
    assert len(set(in_processes(Built(dies_once), process_of, items, 2))) == 3


@posix
def test_a_process_that_dies_as_it_starts_is_started_again(tmp_path: Path) -> None:
    build = partial(DiesOnce(tmp_path), "start")
    assert list(in_processes(build, operator.add, ["a"], 1)) == ["STARTa"]


class BuildsOnce:
    """Builds a state that ends its process; later processes end as they start."""

    def __init__(self, folder: Path) -> None:
        self.built = folder / "built"

    def __call__(self) -> Callable[[str], str]:
        if self.built.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        self.built.touch()
        return DiesAt("a")


@posix
def test_processes_that_cannot_be_replaced_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(ProcessesDiedError):
        list(in_processes(BuildsOnce(tmp_path), call, ["a"], 1))


@posix
def test_the_error_of_a_nested_process_keeps_its_type() -> None:
    with pytest.raises(ProcessesDiedError):
        list(in_processes(Built(nested), call, ["a"], 1))


def nested(item: str) -> str:
    return str(list(isolated(dies, call, [item])))


def dies() -> Callable[[str], str]:
    return DiesAt("a")("a")  # type: ignore[return-value]


@posix
def test_processes_that_always_die_end_the_run() -> None:
    with pytest.raises(ProcessesDiedError):
        list(upper(DiesAt("a"), ["a"], 1))


def test_an_error_of_an_item_is_raised() -> None:
    with pytest.raises(TaskError, match="AttributeError"):
        list(upper(Upper(), [3], 1))  # type: ignore[list-item]


def test_closing_stops_what_is_in_progress(tmp_path: Path) -> None:
    results = upper(UpperUntilStopped(tmp_path), ["a", "wait"], 2)
    assert next(results) == "A"
    results.close()  # type: ignore[attr-defined]
    assert (tmp_path / "stopped").exists()


@posix
def test_an_isolated_item_that_crashes_affects_only_itself() -> None:
    assert list(isolated(Built(DiesAt("b")), call, ["a", "b", "c"])) == ["A", None, "C"]
