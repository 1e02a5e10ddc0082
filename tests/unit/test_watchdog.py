import threading
import time

from http_fakes import wait_until
from mien.cluster.watchdog import stalls_reported


def test_only_stalls_are_reported() -> None:
    reported: list[float] = []
    with stalls_reported(1.0, reported.append) as happened:
        for _ in range(12):
            time.sleep(0.1)
            happened()
        assert not reported
        wait_until(lambda: len(reported) == 2)
        happened()
    assert 1.0 <= reported[0] < reported[1]
    assert "mien-watchdog" not in [thread.name for thread in threading.enumerate()]


def test_the_watchdog_ends_immediately() -> None:
    started = time.monotonic()
    with stalls_reported(600, print):
        pass
    assert time.monotonic() - started < 60
