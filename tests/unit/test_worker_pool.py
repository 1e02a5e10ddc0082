"""Worker processes that are killed, stopped, stuck and signalled; all of them are real."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

import worker_tasks as tasks
from http_process import spawned_by
from mien.deadline import Deadline
from mien.errors import ArtifactError, DeadlineExceededError, QueueFullError, TruncatedImageError
from mien.workers import Outcome, TaskError, WorkerDiedError, WorkerPool
from mien.workers import process as worker_process

resource = pytest.importorskip("resource", reason="signals and processes differ there")

BOTH = pytest.mark.parametrize("processes", [True, False], ids=["processes", "threads"])


def with_pool(
    main: Callable[[WorkerPool[str]], Coroutine[Any, Any, Any]],
    count: int = 1,
    build: Callable[[], str] = tasks.build,
    **options: Any,
) -> Any:
    """Run a coroutine with a started pool."""

    async def run() -> Any:
        pool = WorkerPool(build, count, **options)
        await pool.start()
        try:
            async with asyncio.timeout(60):
                return await main(pool)
        finally:
            await pool.close()

    result = asyncio.run(run())
    assert not spawned_by(os.getpid())
    return result


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def pid(pool: WorkerPool[str]) -> int:
    """Return the id of the process that responds now."""
    return (await pool.run(tasks.echo))[0]


async def begin(
    pool: WorkerPool[str],
    task: Callable[..., Any],
    *arguments: Any,
    started: Path,
    seconds: float = 30,
) -> "asyncio.Task[Any]":
    """Start a task that touches a file, and wait until it runs."""
    running = asyncio.ensure_future(
        pool.run(task, *arguments, started, deadline=Deadline.after(seconds))
    )
    await until(started.exists)
    return running


async def code(result: Awaitable[Any]) -> str:
    try:
        await result
    except Exception as error:  # noqa: BLE001 - its kind is what is asked for
        return type(error).__name__
    return "result"


@BOTH
def test_results_come_back_in_order_with_their_times(processes: bool) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        assert await pool.run_all(tasks.echo, []) == []
        arguments = [(number,) for number in range(20)]
        outcomes = await pool.run_all(tasks.echo, arguments)
        results = [outcome.unwrap() for outcome in outcomes]
        assert [value for _, _, value in results] == list(range(20))
        assert {state for _, state, _ in results} == {"state"}
        assert (os.getpid() in {process for process, _, _ in results}) is not processes
        first, second, third = await pool.run_all(tasks.nap, [(0.1,)] * 3)
        assert third.queued_s - min(first.queued_s, second.queued_s) > 0.09

    with_pool(main, 2, processes=processes)


def test_every_worker_is_used() -> None:
    async def main(pool: WorkerPool[str]) -> None:
        both = await pool.run_all(tasks.nap, [(0.5,)] * 2)
        assert {outcome.unwrap() for outcome in both} == set(pool.process_ids)
        assert len(pool.process_ids) == 2

    with_pool(main, 2)


@BOTH
def test_arguments_are_not_formatted(processes: bool) -> None:
    # Formatting an image of some megabytes takes milliseconds.
    (_, _, value) = with_pool(
        lambda pool: pool.run(tasks.echo, tasks.Unprintable()), processes=processes
    )
    assert isinstance(value, tasks.Unprintable)


@BOTH
@pytest.mark.parametrize(
    ("task", "kind", "text"),
    [
        (tasks.raise_truncated, TruncatedImageError, "this image is cut off"),
        (tasks.raise_full, QueueFullError, "too many"),
        (tasks.divide, TaskError, "ZeroDivisionError"),
        (tasks.stop_iteration, TaskError, "StopIteration"),
        (tasks.raise_awkward, TaskError, "AwkwardError"),
        (tasks.raise_locked, TaskError, "TruncatedImageError"),
    ],
)
def test_errors_come_back(
    processes: bool, task: Callable[..., None], kind: type[Exception], text: str
) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        before = await pid(pool)
        outcomes = [
            *await pool.run_all(task, [()]),
            *await pool.run_all(tasks.echo, [()]),
        ]
        assert type(outcomes[0].result) is kind
        assert text in str(outcomes[0].result)
        assert getattr(outcomes[0].result, "retry_after_s", 7.5) == 7.5
        assert outcomes[1].unwrap()[0] == before

    with_pool(main, processes=processes)


def test_unpicklable_values_fail_their_task() -> None:
    async def main(pool: WorkerPool[str]) -> None:
        before = await pid(pool)
        with pytest.raises(TaskError):
            await pool.run(tasks.unpicklable_result)
        with pytest.raises(Exception, match="pickle"):
            await pool.run(tasks.echo, threading.Lock())
        assert await pid(pool) == before

    with_pool(main)


@BOTH
@pytest.mark.parametrize(
    ("build", "kind"),
    [(tasks.build_without_model, ArtifactError), (tasks.build_without_sense, Exception)],
)
def test_an_error_of_build_fails_the_start(
    processes: bool, build: Callable[[], str], kind: type[Exception]
) -> None:
    async def main() -> None:
        with pytest.raises(kind):
            await WorkerPool(build, 2, processes=processes).start()

    asyncio.run(main())
    assert not spawned_by(os.getpid())


@BOTH
def test_tasks_beyond_the_queue_limit_are_refused(processes: bool, tmp_path: Path) -> None:
    waiting: list[int] = []

    async def main(pool: WorkerPool[str]) -> None:
        go = tmp_path / "go"
        assert pool.retry_after_s == 0
        await pool.run_all(tasks.nap, [(0.05,)] * 3)
        with pytest.raises(QueueFullError):
            await pool.run_all(tasks.wait_for, [(go,)] * 4)
        running = asyncio.ensure_future(pool.run_all(tasks.wait_for, [(go,)] * 3))
        await until(lambda: waiting[-1] == 2)
        with pytest.raises(QueueFullError) as full:
            pool.check_room()
        assert 0.05 * 3 <= full.value.retry_after_s < 0.3 * 3
        reserved = asyncio.ensure_future(pool.run_all(tasks.echo, [()], reserved=True))
        go.touch()
        assert len(await running) == 3
        await reserved
        pool.check_room(3)
        assert waiting[-1] == 0

    with_pool(main, max_waiting=2, processes=processes, report_waiting=waiting.append)


@BOTH
def test_deadlines_of_queued_and_running_tasks(processes: bool, tmp_path: Path) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        notes = tmp_path / "notes"
        running = asyncio.ensure_future(
            pool.run(tasks.run_until_deadline, deadline=Deadline.after(1))
        )
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError):
            await pool.run(tasks.add, notes, "late", deadline=Deadline.after(0.1))
        with pytest.raises(DeadlineExceededError):
            await pool.run(tasks.add, notes, "too late", deadline=Deadline.after(-1))
        with pytest.raises(DeadlineExceededError):
            await running
        await pool.run(tasks.add, notes, "in time")
        assert notes.read_text() == "in time"

    with_pool(main, processes=processes)


@BOTH
def test_cancelled_tasks_stop_and_leave_the_queue(processes: bool, tmp_path: Path) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        before, notes = await pid(pool), tmp_path / "notes"
        running = await begin(pool, tasks.run_until_deadline, started=tmp_path / "started")
        waiting = asyncio.ensure_future(pool.run_all(tasks.add, [(notes, "x")] * 2))
        await asyncio.sleep(0)
        for task in (running, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await pid(pool) == before
        assert not notes.exists()
        pool.check_room(3)

    with_pool(main, max_waiting=2, processes=processes)


def test_an_expired_task_reports_its_waiting_time(tmp_path: Path) -> None:
    async def main(pool: WorkerPool[str]) -> Outcome[None]:
        running = await begin(pool, tasks.nap, 0.2, started=tmp_path / "started")
        (late,) = await pool.run_all(tasks.run_until_deadline, [()], deadline=Deadline.after(3))
        await running
        return late

    late = with_pool(main)
    assert isinstance(late.result, DeadlineExceededError)
    assert 0.05 < late.queued_s < 2.5


def test_a_killed_worker_costs_the_task_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        running = await begin(pool, tasks.nap, 20, started=tmp_path / "started")
        waiting = asyncio.ensure_future(pid(pool))
        os.kill(before, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match=str(before)):
            await running
        assert await waiting != before
        assert pool.process_ids == [await pid(pool)]
        assert f"{before} ended with status -9" in caplog.text
        with pytest.raises(WorkerDiedError):
            await pool.run(tasks.leave)
        await pid(pool)

    with_pool(main)


@pytest.mark.parametrize("dead", [True, False])
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_worker_killed_while_idle_costs_no_task(size: int, dead: bool) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        os.kill(before, signal.SIGKILL)
        if dead:
            await until(lambda: psutil.Process(before).status() == psutil.STATUS_ZOMBIE)
        process, _, value = await pool.run(tasks.echo, "x" * size)
        assert process == await pid(pool) != before
        assert len(value) == size

    with_pool(main)


def test_other_workers_continue_while_one_starts(tmp_path: Path) -> None:
    folder = tmp_path / "builds"
    folder.mkdir()

    async def main(pool: WorkerPool[str]) -> None:
        running = await begin(pool, tasks.nap, 20, started=tmp_path / "started")
        other = await pid(pool)
        (killed,) = set(pool.process_ids) - {other}
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(WorkerDiedError):
            await running
        assert [await pid(pool) for _ in range(3)] == [other] * 3
        busy = await begin(pool, tasks.nap, 1, started=tmp_path / "busy")
        with pytest.raises(DeadlineExceededError):
            await pool.run(tasks.echo, deadline=Deadline.after(0.3))
        assert await busy == other
        busy = await begin(pool, tasks.nap, 6, started=tmp_path / "busy-again")
        assert await pid(pool) not in {other, killed}
        assert await busy == other

    with_pool(main, 2, tasks.slow_build(folder))


@pytest.mark.parametrize("size", [10, 5_000_000], ids=["small", "more than a socket holds"])
def test_a_worker_stopped_while_idle_is_replaced(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(worker_process.ProcessWorker, "stop_s", 0.5)

    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        os.kill(before, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await pool.run(tasks.echo, "x" * size, deadline=Deadline.after(0.5))
        assert time.monotonic() - began < 3
        assert await pid(pool) != before

    with_pool(main)


def test_tasks_that_ignore_their_deadline_are_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker_process.ProcessWorker, "stop_s", 2.0)

    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await pool.run(tasks.nap, 20, deadline=Deadline.after(0.2))
        # The client does not wait for the end of the worker.
        assert time.monotonic() - began < 2
        cancelled = asyncio.ensure_future(pool.run(tasks.nap, 20, tmp_path / "started"))
        await until((tmp_path / "started").exists)
        (second,) = pool.process_ids
        cancelled.cancel()
        assert await pid(pool) not in {before, second}

    with_pool(main)


def test_late_results_of_cancelled_tasks_are_discarded() -> None:
    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        chance = random.Random(0)
        outcomes: Counter[str] = Counter()
        for number in range(1, 400):
            deadline = Deadline.after(chance.uniform(0, 0.03))
            try:
                assert await pool.run(tasks.echo, number, deadline=deadline) == (
                    before,
                    "state",
                    number,
                )
                await pool.run(tasks.nap, 0.004, deadline=deadline)
                outcomes["results"] += 1
            except DeadlineExceededError:
                outcomes["late"] += 1
        assert min(outcomes["results"], outcomes["late"]) > 5
        assert await pool.run(tasks.echo, 400) == (before, "state", 400)

    with_pool(main)


@pytest.mark.parametrize("stops", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_signals_to_all_processes_end_no_worker(stops: list[int], tmp_path: Path) -> None:
    async def main() -> None:
        pool = WorkerPool(tasks.build, 1)
        starting = asyncio.ensure_future(pool.start())
        await until(lambda: pool.process_ids)
        (before,) = pool.process_ids
        # From its first instruction on.
        for number in stops * 20:
            os.kill(before, number)
            await asyncio.sleep(0.02)
        await starting
        running = await begin(pool, tasks.nap, 0.5, started=tmp_path / "started")
        for number in stops:
            os.kill(before, number)
        assert await running == before
        await pool.close()

    asyncio.run(main())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_worker_is_restarted_when_files_are_available() -> None:
    async def main(pool: WorkerPool[str]) -> None:
        (before,) = pool.process_ids
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            os.kill(before, signal.SIGKILL)
            with pytest.raises(DeadlineExceededError):
                await pool.run(tasks.echo, deadline=Deadline.after(0.5))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert await pid(pool) != before

    with_pool(main)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, os, signal, sys\n"
        "import worker_tasks as tasks\n"
        "from mien.workers import WorkerPool\n"
        "async def main():\n"
        "    pool = WorkerPool(tasks.build, 2)\n"
        "    await pool.start()\n"
        "    print(*pool.process_ids, flush=True)\n"
        "    if sys.argv[1] == 'killed':\n"
        "        asyncio.ensure_future(pool.run(tasks.nap, 60))\n"
        "        await asyncio.sleep(0.2)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for how, status in (("killed", -9), ("left open", 0)):
        command = [sys.executable, "-W", "ignore", script, how]
        done = subprocess.run(
            command, timeout=30, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status
        for process in map(int, done.stdout.split()):
            end = time.monotonic() + 10
            while psutil.pid_exists(process) and time.monotonic() < end:
                if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                    break
                time.sleep(0.01)
            else:
                assert not psutil.pid_exists(process)


def test_closing_does_not_wait_for_tasks(tmp_path: Path) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        running = await begin(pool, tasks.nap, 30, started=tmp_path / "started")
        waiting = asyncio.ensure_future(pool.run(tasks.echo))
        await asyncio.sleep(0)
        began = time.monotonic()
        await pool.close()
        assert time.monotonic() - began < 3
        late = pool.run(tasks.echo)
        for task in (running, waiting, late):
            assert await code(task) == "DeadlineExceededError"

    with_pool(main)


@BOTH
def test_closing_ends_a_task_that_a_worker_is_about_to_start(processes: bool) -> None:
    async def main(pool: WorkerPool[str]) -> None:
        # The worker waits for a task then.
        await asyncio.sleep(0.1)
        task = asyncio.ensure_future(pool.run(tasks.echo))
        await asyncio.sleep(0)
        await pool.close()
        async with asyncio.timeout(5):
            assert await code(task) == "DeadlineExceededError"

    with_pool(main, processes=processes)
