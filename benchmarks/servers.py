"""Servers as processes: started on a free port, measured and stopped."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from benchmarks.process import ROOT

__all__ = ["Server", "mien_server", "photos_in", "reference_server"]

_PATIENCE_S = 120.0
_LOG_BYTES = 1 << 20
_NOTABLE_CORES = 0.2


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        name: For messages.
        address: Such as ``http://127.0.0.1:41237``.
        process: Its main process.
    """

    name: str
    address: str
    process: "subprocess.Popen[bytes]"

    @property
    def resident_mb(self) -> float:
        """Resident memory of the process and its children, in MiB."""
        return sum(float(member.memory_info().rss) for member in self._family) / 2**20

    @property
    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    @contextmanager
    def seeing_others(self) -> Iterator[None]:
        """Warn if other processes used a notable share of the cores meanwhile."""
        before, began = self._others_s(), time.perf_counter()
        yield
        cores = (self._others_s() - before) / (time.perf_counter() - began)
        if cores > _NOTABLE_CORES:
            print(f"  UNRELIABLE: other processes used {cores:.1f} cores meanwhile")

    def _others_s(self) -> float:
        """Return the processor time of all other processes so far, in seconds."""
        total = psutil.cpu_times()
        ours = [*self._family, psutil.Process()]
        known = sum(member.cpu_times().user + member.cpu_times().system for member in ours)
        return float(total.user + total.nice + total.system - known)


@contextmanager
def mien_server(*options: str) -> Iterator[Server]:
    """Run ``mien serve`` on a free port with these options."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
    with _running("mien", command, "/readyz") as server:
        yield server


@contextmanager
def reference_server(python: str) -> Iterator[Server]:
    """Run the baseline behind FastAPI.

    Args:
        python: Interpreter of its environment.
    """
    folder = ROOT / "benchmarks" / "peers" / "reference"
    command = [python, "-m", "uvicorn", "service:app", "--app-dir", str(folder), "--port", "0"]
    with _running("reference", command, "/openapi.json") as server:
        yield server


def photos_in(folder: Path) -> list[bytes]:
    """Return the JPEG files below a folder, in an order that mixes the subfolders."""
    paths = sorted(folder.rglob("*.jpg"), key=lambda path: path.name[::-1])
    if not paths:
        raise SystemExit(f"no JPEG files below {folder}; say which photos with PHOTOS=FOLDER")
    return [path.read_bytes() for path in paths]


@contextmanager
def _running(name: str, command: list[str], ready: str) -> Iterator[Server]:
    # A file, because a pipe that nobody reads would fill up and block the server.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        try:
            address = _wait(process, log, ready)
            yield Server(name, address, process)
        finally:
            process.terminate()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: IO[bytes], ready: str) -> str:
    until = time.monotonic() + _PATIENCE_S
    output = ""
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
        # pread leaves the file position alone, which the process shares.
        output = os.pread(log.fileno(), _LOG_BYTES, 0).decode()
        found = re.search(r"http://[\d.]+:\d+", output)
        if found and _is_ready(found[0] + ready):
            return found[0]
    raise SystemExit(f"the server did not start:\n{output}")


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
