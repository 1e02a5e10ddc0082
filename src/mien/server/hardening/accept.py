"""Fair accept: of server processes that share a socket, the one with fewer connections is first."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["FairAcceptLoop"]

# Each doubling of a process's connections delays its next accept by one step: a millisecond, the
# resolution of timers. Steps are limited, because connections may be idle.
_STEP_S = 0.001
_MOST_STEPS = 6
# A turn accepts one connection, and one more for each _ONE_BY_ONE since the queue was last empty.
_ONE_BY_ONE = 16
# Seconds until the next attempt if the process can open no more files, as in asyncio's own servers.
_OUT_OF_FILES_S = 1.0


class FairAcceptLoop(asyncio.SelectorEventLoop):
    """The event loop of a server process. asyncio's own servers accept all that wait at once."""

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *, sock: socket.socket, **_: Any
    ) -> "_Acceptor":
        """Accept connections to ``sock``, which listens already."""
        return _Acceptor(self, protocol_factory, sock)


class _Acceptor:
    """As much of ``asyncio.Server`` as uvicorn uses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol_factory: Callable[[], asyncio.Protocol],
        listener: socket.socket,
    ) -> None:
        listener.setblocking(False)
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._listener = listener
        self._open: list[socket.socket] = []
        self._serving: set[asyncio.Task[Any]] = set()
        self._in_a_row = 0
        self._timer = loop.call_later(0, self._watch)

    def close(self) -> None:
        """Accept the connections that wait, but no later ones; open ones stay."""
        self._loop.remove_reader(self._listener)
        self._timer.cancel()
        # When all processes have closed the listener, waiting connections are reset.
        with suppress(OSError):
            while True:
                self._accept(self._listener.accept()[0])

    async def wait_closed(self) -> None:
        """Return at once: ``close`` leaves nothing to wait for."""

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._wait_turn)

    def _wait_turn(self) -> None:
        """Leave waiting connections to processes with fewer of them."""
        self._loop.remove_reader(self._listener)
        self._open = [connection for connection in self._open if connection.fileno() >= 0]
        steps = min(len(self._open).bit_length(), _MOST_STEPS)
        self._timer = self._loop.call_later(steps * _STEP_S, self._accept_next)

    def _accept_next(self) -> None:
        try:
            for _ in range(1 + self._in_a_row // _ONE_BY_ONE):
                self._accept(self._listener.accept()[0])
                self._in_a_row += 1
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            # Another process was quicker, or the client has disconnected.
            self._in_a_row = 0
        except OSError as error:
            context = {"message": "no connection can be accepted now", "exception": error}
            self._loop.call_exception_handler(context)
            self._timer = self._loop.call_later(_OUT_OF_FILES_S, self._watch)
            return
        self._watch()

    def _accept(self, connection: socket.socket) -> None:
        self._open.append(connection)
        serving = self._loop.connect_accepted_socket(self._protocol_factory, connection)
        task = self._loop.create_task(serving)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
