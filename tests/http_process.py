"""``serve`` as a process of its own, for tests of its life and death."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx2 as httpx
import psutil

from http_fakes import wait_until

SERVED = Path(__file__).with_name("served.py")

# Where Python finds the package, unless it is installed, and NumPy's kernels, on which last digits
# depend.
KEPT = ["PYTHONPATH", "OPENBLAS_CORETYPE"]
# The test does not read the service's log while it runs: a pipe of the usual size is full after 200
# requests.
PIPE_BYTES = 2**20


def start(workers: int, wait: str, **settings: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(SERVED.parent)])}
    command = [sys.executable, str(SERVED), str(workers), wait, json.dumps(settings)]
    return _process(command, environment)


def _process(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, pipesize=PIPE_BYTES, text=True, env=environment
    )


@contextmanager
def served(
    workers: int, wait: float | str, **settings: object
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it with a fake pipeline, as ``served.py`` says; gives the process and its address."""
    process = start(workers, str(wait), **settings)
    try:
        yield process, address_when_ready(process)
    finally:
        # Not killed: its workers would live on.
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def service(**environment: str) -> Iterator[str]:
    """Run the service with its real models; yield its address."""
    with service_process(**environment) as (_, address):
        yield address


@contextmanager
def service_process(**environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the service with its real models; yield its process and address."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0"]
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | environment
    process = _process(command, environment)
    try:
        yield process, address_when_ready(process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def alongside(threads: Sequence[Thread]) -> Iterator[None]:
    """Have threads run beside the block, and wait for them at its end."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def address_when_ready(process: subprocess.Popen[str]) -> str:
    """Wait for a service that says on its stderr where it listens."""
    found = re.search(r"http://[^\s\"]+", process.stderr.readline())
    assert found
    address = found.group()
    wait_until(lambda: ready(address))
    return address


def ready(address: str) -> bool:
    """Return what a load balancer would make of it."""
    try:
        return _get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _get(url: str) -> httpx.Response:
    # Certificates take 30 ms to load, which matters in a loop.
    return httpx.get(url, timeout=20, verify=False)


def wait_until_in_flight(address: str, times: int) -> None:
    """Wait until so many requests are under way."""
    # The one that asks is among them.
    expected = f"http_requests_in_flight {times + 1}.0"
    wait_until(lambda: expected in _get(f"{address}/metrics").text)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the worker processes that are alive now."""
    return spawned_by(process.pid)


def spawned_by(process_id: int) -> list[psutil.Process]:
    """Return the processes that it began by multiprocessing, without the one that tidies up."""
    found = []
    for child in psutil.Process(process_id).children():
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def seconds_until_exit(process: subprocess.Popen[str]) -> float:
    began = time.monotonic()
    process.wait(60)
    return time.monotonic() - began
