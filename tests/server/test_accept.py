"""Workers that share the connections of one socket."""

import asyncio
import errno
import socket
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit

import psutil
import pytest

from http_fakes import wait_until
from http_process import served, workers_of
from mien.server.hardening import accept
from mien.server.hardening.accept import FairAcceptLoop
from programs import posix

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
MANY = 16
# With a server of asyncio's own in each, one worker takes all of a burst or nearly so.
A_SHARE = MANY // 4


@contextmanager
def connected(port: int, count: int, *, at_once: bool) -> Iterator[None]:
    """Keep connections open after a response. at_once: connect all before the first request."""
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=15)
            connections.append(stack.enter_context(connection))
            if not at_once:
                ask(connection)
        if at_once:
            for connection in connections:
                ask(connection)
        yield


def ask(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def held(worker: psutil.Process, port: int) -> int:
    return sum(
        connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED
        for connection in worker.net_connections("tcp")
    )


def lets_in(worker: psutil.Process, port: int) -> bool:
    """Return whether this process accepted a new connection."""
    with connected(port, 1, at_once=True):
        return held(worker, port) > 0


@contextmanager
def two_workers() -> Iterator[tuple[subprocess.Popen[str], int, list[psutil.Process]]]:
    """Give the service's process, its port and its workers once both of them accept clients."""
    with served(2, 0.0) as (process, address):
        port, workers = urlsplit(address).port, workers_of(process)
        assert len(workers) == 2
        for worker in workers:
            wait_until(partial(lets_in, worker, port))
        yield process, port, workers


@posix
@pytest.mark.parametrize("at_once", [True, False])
def test_connections_are_spread_over_workers(at_once: bool) -> None:
    with two_workers() as (_, port, workers):
        for _ in range(3):
            wait_until(lambda: not any(held(worker, port) for worker in workers))
            with connected(port, MANY, at_once=at_once):
                shares = [held(worker, port) for worker in workers]
                assert sum(shares) == MANY
                assert min(shares) >= A_SHARE


@posix
def test_a_new_worker_catches_up() -> None:
    with two_workers() as (process, port, (lost, left)), connected(port, MANY, at_once=True):
        lost.kill()
        wait_until(lambda: len(set(workers_of(process)) - {lost}) == 2)
        (new,) = set(workers_of(process)) - {lost, left}
        wait_until(lambda: lets_in(new, port))
        before = held(left, port)
        with connected(port, before, at_once=False):
            # By turns each would get half of them.
            assert held(new, port) > before / 2


@posix
def test_idle_connections_do_not_block_others() -> None:
    resource = pytest.importorskip("resource", reason="needs limits that can be read and raised")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2000), hard), hard))
    try:
        with two_workers() as (_, port, _), ExitStack() as stack:
            for _ in range(1000):
                idle = socket.create_connection(("127.0.0.1", port), timeout=15)
                stack.enter_context(idle)
            with connected(port, MANY, at_once=True):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Listener(socket.socket):
    """Fails to accept as often as ``failures`` says how, and only then accepts."""

    failures: tuple[int, ...] = ()

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            number, *self.failures = self.failures
            raise OSError(number, "no")
        return super().accept()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(b"hello")


async def greeting(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await asyncio.wait_for(reader.read(5), 15)
    finally:
        writer.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def run(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=FairAcceptLoop) as runner:
        runner.run(main)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EAGAIN, errno.EINTR])
def test_a_client_that_disconnected_is_not_an_error(
    listener: Listener, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        listener.failures = (number, number)
        door = await asyncio.get_running_loop().create_server(Greeter, sock=listener)
        assert await greeting(listener.getsockname()[1]) == b"hello"
        door.close()

    run(main())
    assert not caplog.records


def test_running_out_of_files_is_logged_and_survived(
    listener: Listener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "_OUT_OF_FILES_S", 0.05)

    async def main() -> None:
        listener.failures = (errno.EMFILE, errno.ENFILE)
        door = await asyncio.get_running_loop().create_server(Greeter, sock=listener)
        assert await greeting(listener.getsockname()[1]) == b"hello"
        door.close()

    run(main())
    assert [record.exc_info[1].errno for record in caplog.records] == [errno.EMFILE, errno.ENFILE]


@pytest.mark.parametrize("failures", [(), (errno.EMFILE,)])
def test_closing_accepts_only_waiting_connections(
    listener: Listener, failures: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was to look later, for those that it holds, or for want of files."""
    monkeypatch.setattr(accept, "_STEP_S", 0.05)
    monkeypatch.setattr(accept, "_OUT_OF_FILES_S", 0.05)
    port = listener.getsockname()[1]

    async def main() -> None:
        door = await asyncio.get_running_loop().create_server(Greeter, sock=listener)
        inside, *ends = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(inside.read(5), 15) == b"hello"
        listener.failures = failures
        waiting, end = await asyncio.open_connection("127.0.0.1", port)
        ends.append(end)
        while listener.failures:
            await asyncio.sleep(0.001)
        door.close()
        late, end = await asyncio.open_connection("127.0.0.1", port)
        ends.append(end)
        assert await asyncio.wait_for(waiting.read(5), 15) == b"hello"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late.read(5), 0.2)
        for end in ends:
            end.close()
        while any(connection.fileno() >= 0 for connection in door._open):
            await asyncio.sleep(0.001)

    run(main())


def test_disconnected_clients_are_released(listener: Listener) -> None:
    async def main() -> None:
        door = await asyncio.get_running_loop().create_server(Greeter, sock=listener)
        for _ in range(20):
            assert await greeting(listener.getsockname()[1]) == b"hello"
        assert len(door._open) < 5
        door.close()

    run(main())
