"""A real service, started as users start it, that malformed files are sent to."""

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

# Of two workers, for the second half of the files. Memory grows in steps (80 MB measured over all
# 10,000 files), as larger images come, and is reused: the same files again add nothing.
MAX_GROWTH_BYTES = 150_000_000


class Attacked:
    """A service, its worker processes, and their memory when it was last noted."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str) -> None:
        self.address = address
        self._process = process
        self._workers = set(workers_of(process))
        self.note_memory()

    def note_memory(self) -> None:
        """Measure growth from now on: libraries keep some of the memory that they have used."""
        self._before = self._resident_bytes()

    def check_unharmed(self) -> None:
        """Assert that no process has ended or was replaced, and that memory has not grown much."""
        assert self._process.poll() is None
        assert self._workers
        assert set(workers_of(self._process)) == self._workers
        growth = self._resident_bytes() - self._before
        assert growth < MAX_GROWTH_BYTES, growth

    def _resident_bytes(self) -> int:
        """Return the memory of the server and its worker processes."""
        server = psutil.Process(self._process.pid)
        family = [server, *server.children(recursive=True)]
        return sum(each.memory_info().rss for each in family)


@contextmanager
def attacked(folder: Path) -> Iterator[Attacked]:
    """Run ``mien serve`` with default settings; its log is written into the folder."""
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


def check(response: httpx.Response) -> str:
    """Return "faces" for 200; for all others the code, which must be known and below 500."""
    if response.status_code == 200:
        assert isinstance(response.json(), list)
        return "faces"
    problem = response.json()
    assert PROBLEMS[problem["code"]].status == response.status_code < 500, problem
    return str(problem["code"])
