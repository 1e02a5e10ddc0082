"""What plain uvicorn lacks: if a test fails here, a part of ``hardening`` can be removed.

The same cases with the service's own connections are in test_connections.py and test_accept.py.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from http_fakes import connect, wait_until

CALLERS = 20


class Slow:
    """An application with a long response; ``gone``: whether it learned of a disconnect."""

    def __init__(self) -> None:
        self.called = self.gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.called = True
        for _ in range(300):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.gone = True


@contextlib.contextmanager
def plain(app: Slow) -> Iterator[int]:
    """Run plain uvicorn with its shortest timeouts; yields its port."""
    with plain_server(app) as (_, port):
        yield port


@contextlib.contextmanager
def plain_server(app: Slow) -> Iterator[tuple[uvicorn.Server, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http="h11",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server, listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(60)
        listener.close()


def is_open(connection: socket.socket, seconds: float) -> bool:
    """Return whether the server keeps the connection for so long without sending anything."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_uvicorn_has_no_header_timeout(sent: bytes) -> None:
    with plain(Slow()) as port, connect(port) as connection:
        connection.sendall(sent)
        assert is_open(connection, 3)


def test_a_client_that_accepts_no_data_is_kept() -> None:
    app = Slow()
    with plain(app) as port, connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: app.called)
        with pytest.raises(TimeoutError):
            wait_until(lambda: app.gone, 3)
        assert connection.recv(10)


def test_uvicorn_responds_to_malformed_http_in_plain_text() -> None:
    with plain(Slow()) as port, connect(port) as connection:
        connection.sendall(b"\x00\xff nonsense\r\n\r\n")
        response = connection.recv(65536)
    assert response.startswith(b"HTTP/1.1 400")
    assert b"problem+json" not in response


def test_uvicorn_accepts_one_byte_chunks() -> None:
    with plain(Slow()) as port, connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_unread_requests_are_lost_at_shutdown() -> None:
    app = Slow()
    with plain_server(app) as (server, port), connect(port) as connection:
        wait_until(lambda: len(server.server_state.connections) == 1)

        def send_and_stop() -> None:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            for protocol in list(server.server_state.connections):
                protocol.shutdown()

        server.servers[0].get_loop().call_soon_threadsafe(send_and_stop)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = connection.recv(65536)
    assert received == b""
    assert not app.called


def test_uvicorn_stops_listening_on_shutdown() -> None:
    # A load balancer still sends it requests for a while.
    with plain_server(Slow()) as (server, _):
        (listening,) = server.servers
        server.should_exit = True
        wait_until(lambda: not listening.is_serving())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_sighup_restarts_the_processes() -> None:
    # A service whose terminal is closed would go on, restarted.
    class Restarts(Multiprocess):
        restarted = False

        def restart_all(self) -> None:
            self.restarted = True

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        supervisor = Restarts(uvicorn.Config(Slow()), sockets=[])
        signal.raise_signal(signal.SIGHUP)
        supervisor.handle_signals()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert supervisor.restarted
    assert not supervisor.should_exit.is_set()


def test_one_process_accepts_all_waiting_connections() -> None:
    accepted = []

    class Count(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    async def main(listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Count, sock=listener)
        # The event loop of another process would have no chance between two of them.
        for _ in range(5):
            await asyncio.sleep(0)
        server.close()
        for transport in accepted:
            transport.abort()
        await asyncio.sleep(0)

    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        port = listener.getsockname()[1]
        with contextlib.ExitStack() as held:
            for _ in range(CALLERS):
                held.enter_context(connect(port))
            asyncio.run(main(listener))
    assert len(accepted) == CALLERS
