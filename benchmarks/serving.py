"""A server as a process of its own: started, found, asked for its memory, ended."""

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
    """A running server. address: such as ``http://127.0.0.1:41237``."""

    name: str
    address: str
    process: "subprocess.Popen[bytes]"

    @property
    def resident_mb(self) -> float:
        """Resident memory of the process and its workers."""
        return sum(float(member.memory_info().rss) for member in self._family) / 2**20

    @property
    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    @contextmanager
    def seeing_others(self) -> Iterator[None]:
        """Print how many cores went to neither this server nor its caller, where it matters."""
        before, began = self._others_s(), time.perf_counter()
        yield
        cores = (self._others_s() - before) / (time.perf_counter() - began)
        if cores > _NOTABLE_CORES:
            print(f"  NOT TO BE TRUSTED: other processes used {cores:.1f} cores meanwhile")

    def _others_s(self) -> float:
        """Return the processor time, in seconds, that everybody else has used so far."""
        everybody = psutil.cpu_times()
        ours = [*self._family, psutil.Process()]
        known = sum(member.cpu_times().user + member.cpu_times().system for member in ours)
        return float(everybody.user + everybody.nice + everybody.system - known)


@contextmanager
def mien_server(*options: str) -> Iterator[Server]:
    """Run ``mien serve`` on a free port; options: of the command."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
    with _running("mien", command, "/readyz") as server:
        yield server


@contextmanager
def reference_server(python: str) -> Iterator[Server]:
    """Run the reference pipeline behind FastAPI; python: that of its environment."""
    folder = ROOT / "benchmarks" / "peers" / "reference"
    command = [python, "-m", "uvicorn", "service:app", "--app-dir", str(folder), "--port", "0"]
    with _running("reference", command, "/openapi.json") as server:
        yield server


def photos_in(folder: Path) -> list[bytes]:
    """Return the JPEG files below a folder, in an order that mixes those of each subfolder."""
    paths = sorted(folder.rglob("*.jpg"), key=lambda path: path.name[::-1])
    if not paths:
        raise SystemExit(f"no JPEG files below {folder}; say which photos with PHOTOS=FOLDER")
    return [path.read_bytes() for path in paths]


@contextmanager
def _running(name: str, command: list[str], ready: str) -> Iterator[Server]:
    # A file, not a pipe, which would be full after some hundred lines of its log.
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
    words = ""
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
        # By position: the process shares the file's own, and writes on from there.
        words = os.pread(log.fileno(), _LOG_BYTES, 0).decode()
        found = re.search(r"http://[\d.]+:\d+", words)
        if found and _answers(found[0] + ready):
            return found[0]
    raise SystemExit(f"the server did not start:\n{words}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
