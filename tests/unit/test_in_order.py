"""Work in threads: results in order, few items ahead, and an end at any moment."""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mien.in_order as module
from mien.in_order import _Threads, in_order


def test_streaming_reads_only_a_few_ahead() -> None:
    taken = itertools.count()
    source = (next(taken) for _ in itertools.count())
    responses = in_order(lambda n: n * n, source, threads=2)
    assert [next(responses) for _ in range(10)] == [n * n for n in range(10)]
    assert next(taken) <= 10 + 2 * 2
    responses.close()


def test_streaming_yields_results_while_the_source_is_slow() -> None:
    taken = []

    def slow_source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number
            time.sleep(0.02)

    responses = in_order(lambda n: n, slow_source(), threads=50)
    assert next(responses) == 0
    assert len(taken) < 100
    responses.close()


def test_stopping_early_cancels_queued_images() -> None:
    done: list[int] = []
    responses = in_order(lambda n: done.append(n) or n, range(1000), threads=1)
    assert next(responses) == 0
    responses.close()
    assert len(done) <= 3


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)"])
def test_a_program_may_leave_results_unread(ending: str) -> None:
    program = (
        "import time\n"
        "from mien.in_order import _Threads, in_order\n"
        "results = in_order(lambda n: time.sleep(0.2), range(100), threads=2)\n"
        f"next(results)\n{ending}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (3 if ending else 0, b"")


def test_a_crash_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda n: 1 // n, [1, 0, 1], threads=2))


@pytest.mark.skipif(os.name == "nt", reason="no timer there sends a signal")
def test_ctrl_c_at_any_moment_ends_streaming() -> None:
    program = Path(__file__).with_name("interrupted.py")
    done = subprocess.run([sys.executable, program], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_few_items_need_few_threads() -> None:
    before = threading.active_count()
    results = in_order(lambda _: threading.active_count() - before, [1, 2], threads=100)
    assert max(results) <= 2


def test_the_system_may_provide_fewer_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Limited(threading.Thread):
        started = 0

        def start(self) -> None:
            if Limited.started == 2:
                raise RuntimeError("can't start new thread")
            Limited.started += 1
            super().start()

    monkeypatch.setattr(module, "Thread", Limited)
    assert list(in_order(lambda n: n, range(20), threads=5)) == list(range(20))
    with pytest.raises(RuntimeError):
        list(in_order(lambda n: n, range(20), threads=5))


def test_threads_that_are_stopped_by_one_of_them_end() -> None:
    """As when Python collects an unfinished generator there."""
    pool: _Threads[None, None] = _Threads(lambda _: pool.stop(), 2)
    assert pool.submit(None).get(timeout=30) == (None, None)
    for thread in pool._threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
