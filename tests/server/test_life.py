"""Kills and signals under load, on real processes."""

import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
import pytest

from http_fakes import encoded_image, part, wait_until
from http_process import (
    address_when_ready,
    alongside,
    ready,
    seconds_until_exit,
    served,
    start,
    wait_until_in_flight,
    workers_of,
)
from programs import posix

PHOTO = encoded_image()
REQUEST = (
    b"POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    % len(PHOTO)
)
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Clients:
    """Threads that send requests on new connections until stopped."""

    def __init__(self, address: str, count: int, *, while_ready: bool = False) -> None:
        self.responses: Counter[int | str] = Counter()
        self._address = address
        self._while_ready = while_ready
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._while_ready and not ready(self._address):
                return
            try:
                response = httpx.post(f"{self._address}/emotion", files=[part(PHOTO)], timeout=20)
                self.responses[response.status_code] += 1
            except httpx.TransportError as error:
                self.responses[type(error).__name__] += 1

    @contextmanager
    def sending(self) -> Iterator[None]:
        with alongside(self._threads):
            try:
                yield
            finally:
                self._stop.set()


def connect(address: str) -> socket.socket:
    where = urlsplit(address)
    return socket.create_connection((where.hostname, where.port), timeout=15)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def outcome_of(connection: socket.socket) -> str:
    """Return the status line of the response, or the error."""
    try:
        with connection:
            return read_all(connection)[:12].decode()
    except ConnectionError as error:
        return type(error).__name__


@posix
def test_a_killed_server_process_is_replaced() -> None:
    clients = 4
    with served(2, 0.02) as (process, address):
        load = Clients(address, clients)
        with load.sending():
            wait_until(lambda: load.responses[200] > 20)
            before = workers_of(process)
            assert len(before) == 2
            before[0].send_signal(signal.SIGKILL)
            killed_at = load.responses[200]
            wait_until(lambda: load.responses[200] > killed_at + 10)
            wait_until(lambda: len(set(workers_of(process)) - {before[0]}) == 2)
            after = load.responses[200]
            wait_until(lambda: load.responses[200] > after + 20)
        lost = sum(load.responses.values()) - load.responses[200]
        # Those that it was working on, and those that it had just taken up.
        assert lost <= 2 * clients
        process.terminate()
        assert f"process {before[0].pid} ended with status -9" in process.stderr.read()


@posix
def test_a_server_process_that_fails_to_start_is_retried(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    with served(2, str(broken)) as (process, address):
        # Both serve: each has places for 64.
        wait_until(lambda: "mien_queue_capacity 128.0" in httpx.get(f"{address}/metrics").text)
        lost, left = workers_of(process)
        broken.touch()
        lost.kill()
        tried: set[psutil.Process] = set()
        while len(tried) < 3:
            tried |= {*workers_of(process)} - {lost, left}
            assert ready(address)
        broken.unlink()
        wait_until(lambda: "mien_queue_capacity 128.0" in httpx.get(f"{address}/metrics").text)
        assert left in workers_of(process)


@posix
def test_ignored_signals_have_no_effect() -> None:
    with served(2, 0.0) as (process, address):
        before = workers_of(process)
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            process.send_signal(number)
        time.sleep(1.5)
        assert workers_of(process) == before
        assert ready(address)
        process.terminate()
        assert process.wait(60) == 0


@posix
@pytest.mark.parametrize("workers", [1, 2])
def test_nohup_keeps_the_service_running(workers: int) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(workers, "0.0")
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        address = address_when_ready(process)
        family = [psutil.Process(process.pid), *workers_of(process)]
        for each in family:
            each.send_signal(signal.SIGHUP)
        time.sleep(1.5)
        assert ready(address)
        assert all(each.is_running() for each in family)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@posix
def test_a_hanging_server_process_is_replaced() -> None:
    with served(2, 0.0, worker_silence_s=5) as (process, address):
        hanging = workers_of(process)[0]
        hanging.suspend()
        for _ in range(20):
            # Each on a new connection, which the one that hangs does not take.
            assert ready(address)
        wait_until(lambda: not hanging.is_running() and len(workers_of(process)) == 2)
        process.terminate()
        assert f"process {hanging.pid} ended with status -9" in process.stderr.read()


@posix
def test_a_hanging_server_process_does_not_delay_shutdown() -> None:
    with served(2, 0.0, drain_s=1.0) as (process, _):
        hanging = workers_of(process)[0]
        hanging.suspend()
        process.terminate()
        assert process.wait(30) == 0
        assert not hanging.is_running()


@posix
def test_requests_that_arrive_during_shutdown_get_a_response() -> None:
    with served(2, 0.0) as (process, address):
        wait_until(lambda: ready(address))
        process.terminate()
        crowd: list[socket.socket] = []
        with suppress(ConnectionError):
            while True:
                for _ in range(20):
                    crowd.append(connect(address))
                    crowd[-1].sendall(LIVEZ)
                time.sleep(0.02)
        outcomes = Counter(map(outcome_of, crowd))
        # Between its last look and its end somebody may come: a few, not all of a burst.
        assert outcomes["HTTP/1.1 200"] > 20
        assert outcomes.total() - outcomes["HTTP/1.1 200"] < 10


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits that others can set")
def test_running_out_of_files_is_logged_briefly_and_survived() -> None:
    with served(1, 0.0) as (process, address):
        one = psutil.Process(process.pid)
        limits = one.rlimit(psutil.RLIMIT_NOFILE)
        one.rlimit(psutil.RLIMIT_NOFILE, (one.num_fds() + 20, limits[1]))
        crowd = [connect(address) for _ in range(60)]
        time.sleep(2)
        for connection in crowd:
            connection.close()
        one.rlimit(psutil.RLIMIT_NOFILE, limits)
        wait_until(lambda: ready(address))
        process.terminate()
        failures = process.stderr.read().count("out of system resource")
        assert 0 < failures < 20


@pytest.mark.parametrize("workers", [1, 2])
def test_accepted_requests_finish_at_shutdown_under_load(workers: int) -> None:
    # Long enough for a client to come between its look at /readyz and the end.
    with served(workers, 0.05, stop_delay_s=2.0) as (process, address):
        load = Clients(address, 4, while_ready=True)
        # Connected before the signal, asking after it.
        late = [connect(address) for _ in range(3)]
        with load.sending():
            wait_until(lambda: load.responses[200] > 10)
            process.terminate()
            wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
            for connection in late:
                connection.sendall(REQUEST + PHOTO)
            responses = [read_all(connection) for connection in late]
            for connection in late:
                connection.close()
            assert process.wait(60) == 0
        assert set(load.responses) == {200}
        for response in responses:
            assert response.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in response.lower()
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_requests_beyond_the_drain_time_are_cancelled() -> None:
    with served(1, "endless", drain_s=1.0) as (process, address), connect(address) as connection:
        connection.sendall(REQUEST + PHOTO)
        wait_until_in_flight(address, 1)
        process.terminate()
        response = read_all(connection)
        assert response.startswith(b"HTTP/1.1 503")
        assert b'"code":"not_ready"' in response
        assert b"retry-after: 1" in response.lower()
        assert process.wait(60) == 0


def test_uninterruptible_work_does_not_delay_shutdown() -> None:
    with served(1, "deaf", drain_s=1.0) as (process, address), connect(address) as connection:
        connection.sendall(REQUEST + PHOTO)
        wait_until_in_flight(address, 1)
        process.terminate()
        # Sooner than the picture is done, which takes 15 seconds.
        assert seconds_until_exit(process) < 10
        assert process.returncode == 1
        assert "in detect" in process.stderr.read()


def test_a_second_signal_skips_the_stop_delay() -> None:
    with served(1, 0.0, stop_delay_s=10.0, drain_s=20.0) as (process, address):
        process.terminate()
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
        process.terminate()
        # It would stay open for newcomers for 10 seconds.
        assert seconds_until_exit(process) < 8
        assert process.returncode == 0


def test_server_processes_end_with_their_parent() -> None:
    with served(2, 0.0) as (process, address):
        workers = workers_of(process)
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
        with pytest.raises(ConnectionRefusedError):
            connect(address)
