"""Run by the tests: ``mien`` whose threads that fetch rows from Ray take a second to end.

Arguments: mien's. Ends with status 3 if one is there when Ray is shut down, or never was.
"""

import os
import sys
import threading
import time

import ray

from mien.cli import main

FETCHING = "iter_threaded"  # Ray 2.60

_run, _shut_down = threading.Thread.run, ray.shutdown
_ended: list[str] = []


def run_and_linger(thread: threading.Thread) -> None:
    _run(thread)
    if thread.name == FETCHING:
        time.sleep(1)
        _ended.append(thread.name)


def shut_down_alone() -> None:
    left = [thread for thread in threading.enumerate() if thread.name == FETCHING]
    if left or not _ended:
        print(f"{len(left)} threads are left, {len(_ended)} ended", file=sys.stderr, flush=True)
        os._exit(3)
    _shut_down()


if __name__ == "__main__":
    threading.Thread.run, ray.shutdown = run_and_linger, shut_down_alone
    sys.exit(main())
