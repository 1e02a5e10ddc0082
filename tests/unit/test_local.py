"""Worker processes of a run on this machine."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.batch.local import ProcessesDiedError, Stopped, in_processes, isolated
from programs import posix


class Upper:
    def __call__(self, text: str, stopped: Stopped) -> str:
        return text.upper()


class InterruptedUpper(Upper):
    """Ctrl-C arrives as a process starts: when it unpickles this, before any of our code runs."""

    def __reduce__(self) -> tuple[object, ...]:
        return as_ctrl_c_arrives, ()


def as_ctrl_c_arrives() -> Upper:
    signal.raise_signal(signal.SIGINT)
    return Upper()


class UpperUntilStopped:
    """Waits for the stop at the item ``wait``, and writes that it came."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen

    def __call__(self, text: str, stopped: Stopped) -> str:
        while text == "wait" and not stopped():
            pass
        if stopped():
            self.seen.write_text(text)
        return text.upper()


class DiesOnce:
    """Ends its process at each item, unless it has been there before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str, stopped: Stopped) -> str:
        try:
            (self.folder / text).touch(exist_ok=False)
        except FileExistsError:
            return text.upper()
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class Dies(Upper):
    def __call__(self, text: str, stopped: Stopped) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


@posix
def test_only_the_parent_handles_ctrl_c() -> None:
    assert sorted(in_processes(InterruptedUpper(), ["a", "b", "c"], 2)) == ["A", "B", "C"]


@posix
def test_items_of_a_dead_process_are_retried(tmp_path: Path) -> None:
    assert sorted(in_processes(DiesOnce(tmp_path), ["a", "b", "c"], 2)) == ["A", "B", "C"]


@posix
def test_processes_that_always_die_end_the_run() -> None:
    with pytest.raises(ProcessesDiedError):
        list(in_processes(Dies(), ["a"], 1))


def test_an_error_of_an_item_is_raised() -> None:
    with pytest.raises(AttributeError):
        list(in_processes(Upper(), [3], 1))


def test_closing_stops_what_is_in_progress(tmp_path: Path) -> None:
    results = in_processes(UpperUntilStopped(tmp_path / "seen"), ["a", "wait", "b"], 1)
    assert next(results) == "A"
    results.close()
    assert (tmp_path / "seen").exists()


class DeadlyFor:
    def __init__(self, deadly: str) -> None:
        self.deadly = deadly

    def __call__(self) -> Callable[[str], str]:
        return self.work

    def work(self, text: str) -> str:
        if text == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return text.upper()


@posix
def test_an_isolated_item_that_crashes_affects_only_itself() -> None:
    assert list(isolated(DeadlyFor("b"), ["a", "b", "c"])) == ["A", None, "C"]
