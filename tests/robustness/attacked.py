"""A real service, as users begin it, that broken files are sent to."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil

from http_fakes import wait_until
from http_process import ready, workers_of
from mien.server.errors import PROBLEMS
from programs import free_port

# Once it is warm. Far beyond what comes and goes, far below what is kept of so many files.
MOST_GROWTH_BYTES = 100_000_000


class Attacked:
    """A service, its processes for pictures, and the memory of all as it was when last noted."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self.address = address
        self._process = process
        self._engines = set(workers_of(process))
        self.note_memory()

    def note_memory(self) -> None:
        """Hold the memory against what is held now: libraries keep some of what they work with."""
        self._before = self._resident_bytes()

    def check_unharmed(self) -> None:
        """No process has ended, not even one that was replaced, and memory has not grown much."""
        assert self._process.poll() is None
        assert self._engines
        assert set(workers_of(self._process)) == self._engines
        growth = self._resident_bytes() - self._before
        assert growth < MOST_GROWTH_BYTES, growth

    def _resident_bytes(self) -> int:
        """Return the memory of the server and of all that work for it."""
        server = psutil.Process(self._process.pid)
        family = [server, *server.children(recursive=True)]
        return sum(each.memory_info().rss for each in family)


@contextmanager
def attacked(folder: Path) -> Iterator[Attacked]:
    """Run ``mien serve`` with nothing set; its log is kept in the folder."""
    port = free_port()
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: ready(address), 60)
        yield Attacked(process, address)
    finally:
        process.terminate()
        process.wait(30)


def check(answer: httpx.Response) -> str:
    """Return the answer's code; 200 has faces, all others a problem that is known."""
    if answer.status_code == 200:
        assert isinstance(answer.json(), list)
        return "faces"
    problem = answer.json()
    assert PROBLEMS[problem["code"]].status == answer.status_code < 500, problem
    return str(problem["code"])
