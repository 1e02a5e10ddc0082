import threading
import time

from http_fakes import wait_until
from mien.distributed.watchdog import Watchdog


def test_it_barks_when_nothing_comes_and_only_then() -> None:
    barked: list[float] = []
    with Watchdog(1.0, barked.append) as watchdog:
        for _ in range(12):
            time.sleep(0.1)
            watchdog.feed()
        assert not barked
        wait_until(lambda: len(barked) == 2)
        watchdog.feed()
    assert 1.0 <= barked[0] < barked[1]
    assert "mien-watchdog" not in [thread.name for thread in threading.enumerate()]


def test_it_ends_at_once() -> None:
    began = time.monotonic()
    with Watchdog(600, print):
        pass
    assert time.monotonic() - began < 60
