"""Processes that work on pictures: killed, stopped, stuck and signalled, all of them real."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from engine_acts import (
    build,
    build_slowly_from_the_third_on,
    build_without_model,
    build_without_sense,
)
from http_fakes import wait_until
from http_process import spawned_by
from mien.deadline import Deadline
from mien.errors import (
    ArtifactError,
    DeadlineExceededError,
    QueueFullError,
    TruncatedImageError,
)
from mien.http import engines
from mien.http.engines import Analyze, EngineError, Engines
from mien.options import Options
from mien.results import ImageResult

resource = pytest.importorskip("resource", reason="signals and processes are others there")


@contextmanager
def at_work(count: int = 1, build: Callable[[], Analyze] = build) -> Iterator[Engines]:
    processes = Engines(build, count)
    with closing(processes):
        processes.begin()
        processes.wait_until_ready()
        yield processes
    assert not spawned_by(os.getpid())


@pytest.fixture
def one() -> Iterator[Engines]:
    with at_work() as processes:
        yield processes


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def ask(
    processes: Engines, words: str, deadline: Deadline | float = 30.0, faces: int | None = None
) -> ImageResult:
    deadline = deadline if isinstance(deadline, Deadline) else Deadline.after(deadline)
    return processes.analyze(words.encode(), Options(max_faces=faces), deadline)


def answering(processes: Engines) -> int:
    """Return the id of the process that answers now."""
    return ask(processes, "answer").width


def begin(
    aside: ThreadPoolExecutor, processes: Engines, verb: str, begun: Path, deadline: Deadline
) -> "Future[ImageResult]":
    """Have the work begun in a process."""
    asked = aside.submit(ask, processes, f"{verb} {begun}", deadline)
    wait_until(begun.exists)
    return asked


def test_answers_come_back_from_as_many_processes(aside: ThreadPoolExecutor) -> None:
    with at_work(2) as processes:
        assert ask(processes, "answer", faces=7).height == 7
        assert len(set(processes.process_ids)) == 2
        both = list(aside.map(lambda _: ask(processes, "nap 0.5").width, range(2)))
        assert set(both) == set(processes.process_ids)
        assert os.getpid() not in both


def test_errors_of_ours_come_back_as_themselves(one: Engines) -> None:
    before = answering(one)
    with pytest.raises(TruncatedImageError, match=r"^this picture is cut off$") as truncated:
        ask(one, "truncated")
    assert truncated.value.code == "truncated_image"
    with pytest.raises(QueueFullError, match=r"^too many$") as full:
        ask(one, "full")
    assert full.value.retry_after_s == 7.5
    assert answering(one) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("divide", "ZeroDivisionError: division by zero"),
        ("awkward", "AwkwardError: can not be made again"),
        ("locked", "TruncatedImageError: holds a lock"),
    ],
)
def test_other_errors_bring_their_traceback(one: Engines, words: str, told: str) -> None:
    before = answering(one)
    with pytest.raises(EngineError) as caught:
        ask(one, words)
    assert told in str(caught.value)
    assert "in act" in str(caught.value)
    assert answering(one) == before


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        (build_without_model, ArtifactError, r"^can't read the model file x\.onnx$"),
        (build_without_sense, EngineError, "ZeroDivisionError: makes no sense"),
    ],
)
def test_an_error_while_it_begins_ends_the_start(
    broken: Callable[[], Analyze], kind: type[Exception], words: str
) -> None:
    processes = Engines(broken, 2)
    with closing(processes):
        processes.begin()
        with pytest.raises(kind, match=words):
            processes.wait_until_ready()
    assert not spawned_by(os.getpid())


@pytest.mark.parametrize("stops", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_signals_to_all_processes_end_none_that_begins(stops: list[int]) -> None:
    processes = Engines(build, 1)
    with closing(processes):
        processes.begin()
        (before,) = processes.process_ids
        # From its first instruction on.
        for number in stops * 20:
            os.kill(before, number)
            time.sleep(0.02)
        processes.wait_until_ready()
        assert answering(processes) == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_signals_to_all_processes_end_no_work(
    one: Engines, aside: ThreadPoolExecutor, tmp_path: Path
) -> None:
    asked = begin(aside, one, "nap 0.5", tmp_path / "begun", Deadline.after(30))
    (before,) = one.process_ids
    for number in (signal.SIGTERM, signal.SIGINT) * 2:
        os.kill(before, number)
    assert asked.result().width == before
    os.kill(before, signal.SIGTERM)
    assert answering(one) == before


def test_one_killed_at_work_costs_that_picture(
    one: Engines,
    aside: ThreadPoolExecutor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = begin(aside, one, "nap 20", tmp_path / "begun", Deadline.after(30))
    (before,) = one.process_ids
    os.kill(before, signal.SIGKILL)
    with pytest.raises(EngineError, match=f"process {before} ended before its answer"):
        asked.result(10)
    assert f"process {before}, for pictures, ended with status -9" in caplog.text
    (after,) = one.process_ids
    assert answering(one) == after != before


def test_one_that_ends_itself_costs_that_picture(one: Engines) -> None:
    before = answering(one)
    with pytest.raises(EngineError, match="ended before its answer"):
        ask(one, "exit")
    assert answering(one) != before


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_one_killed_while_idle_costs_none(one: Engines, size: int, *, waiting: bool) -> None:
    (before,) = one.process_ids
    os.kill(before, signal.SIGKILL)
    if waiting:
        wait_until(lambda: psutil.Process(before).status() == psutil.STATUS_ZOMBIE)
    # At once it may still look alive.
    after = ask(one, "answer " + "x" * size).width
    assert after == answering(one) != before


def test_while_one_begins_anew_the_other_works(aside: ThreadPoolExecutor, tmp_path: Path) -> None:
    folder = tmp_path / "builds"
    folder.mkdir()
    with at_work(2, partial(build_slowly_from_the_third_on, folder)) as processes:
        asked = begin(aside, processes, "nap 20", tmp_path / "begun", Deadline.after(30))
        other = answering(processes)
        (killed,) = set(processes.process_ids) - {other}
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(EngineError):
            asked.result(10)
        assert [answering(processes) for _ in range(3)] == [other] * 3
        # Who needs the new one waits for it, but not for longer than for an answer.
        busy = begin(aside, processes, "nap 1", tmp_path / "busy", Deadline.after(30))
        with pytest.raises(DeadlineExceededError):
            ask(processes, "answer", 0.3)
        assert busy.result().width == other
        busy = begin(aside, processes, "nap 6", tmp_path / "busy-again", Deadline.after(30))
        (new,) = set(processes.process_ids) - {other}
        assert answering(processes) == new
        assert busy.result().width == other


@pytest.mark.parametrize("size", [10, 5_000_000], ids=["small", "more than a pipe holds"])
def test_one_stopped_while_idle_is_ended(
    one: Engines, monkeypatch: pytest.MonkeyPatch, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "_SPARE_S", 3.0)
    (before,) = one.process_ids
    os.kill(before, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        ask(one, "answer " + "x" * size, 1.0)
    # Not twice as long, though a large picture goes into the pipe in two goes.
    assert 2.9 < time.monotonic() - began < 7.5
    assert f"process {before} is stuck" in caplog.text
    assert answering(one) != before


def test_one_stopped_at_work_is_ended(
    one: Engines, aside: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_SPARE_S", 0.3)
    deadline = Deadline.after(30)
    asked = begin(aside, one, "go-on", tmp_path / "begun", deadline)
    (before,) = one.process_ids
    os.kill(before, signal.SIGSTOP)
    deadline.expire()
    with pytest.raises(DeadlineExceededError):
        asked.result(10)
    assert answering(one) != before


def test_work_that_is_deaf_is_ended(one: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_SPARE_S", 0.3)
    before = answering(one)
    with pytest.raises(DeadlineExceededError):
        ask(one, "nap 20", 0.2)
    assert answering(one) != before


def test_work_ends_when_its_caller_leaves(
    one: Engines, aside: ThreadPoolExecutor, tmp_path: Path
) -> None:
    (before,) = one.process_ids
    deadline = Deadline.after(30)
    asked = begin(aside, one, "go-on", tmp_path / "begun", deadline)
    deadline.expire()
    with pytest.raises(DeadlineExceededError):
        asked.result(10)
    assert answering(one) == before


def test_work_that_comes_too_late_is_not_begun(one: Engines, tmp_path: Path) -> None:
    before, begun = answering(one), tmp_path / "begun"
    with pytest.raises(DeadlineExceededError):
        ask(one, f"nap 0 {begun}", -1.0)
    assert answering(one) == before
    assert not begun.exists()


def test_what_is_given_up_as_it_ends_disturbs_no_other(
    one: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_LOOK_S", 0.0005)
    (before,) = one.process_ids
    chance = random.Random(0)
    outcomes: Counter[str] = Counter()
    for number in range(1, 400):
        try:
            answer = ask(one, "nap 0.004", chance.uniform(0, 0.012), faces=number)
            assert (answer.width, answer.height) == (before, number)
            outcomes["answered"] += 1
        except DeadlineExceededError:
            outcomes["given up"] += 1
    assert outcomes["answered"] > 50
    assert ask(one, "answer", faces=400) == ImageResult(width=before, height=400)


def test_an_answer_that_nobody_took_is_never_another_pictures(
    one: Engines, aside: ThreadPoolExecutor, tmp_path: Path
) -> None:
    asked = begin(aside, one, "nap 1", tmp_path / "begun", Deadline.after(30))
    (thread,) = [each for each in threading.enumerate() if "ThreadPoolExecutor" in each.name]
    # As if there were no memory for it.
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(MemoryError)) == 1
    with pytest.raises(MemoryError):
        asked.result(10)
    assert ask(one, "answer", faces=5).height == 5


def test_where_no_process_can_be_begun_the_next_picture_tries_again(one: Engines) -> None:
    (before,) = one.process_ids
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        os.kill(before, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(EngineError):
                ask(one, "answer")
        assert one.process_ids == [None]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert answering(one) not in {None, before}


def test_a_process_that_may_open_no_more_files_goes_on(
    one: Engines, aside: ThreadPoolExecutor, tmp_path: Path
) -> None:
    before = answering(one)
    deadline = Deadline.after(30)
    asked = begin(aside, one, "go-on", tmp_path / "begun", deadline)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        deadline.expire()
        with pytest.raises(DeadlineExceededError):
            asked.result(10)
        assert answering(one) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_processes_left_open_do_not_hold_up_the_end(tmp_path: Path) -> None:
    script = tmp_path / "careless.py"
    script.write_text(
        "import engine_acts\n"
        "from mien.http.engines import Engines\n"
        "if __name__ == '__main__':\n"
        "    processes = Engines(engine_acts.build, 2)\n"
        "    processes.begin()\n"
        "    processes.wait_until_ready()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, script], check=True, timeout=30, env=environment)
