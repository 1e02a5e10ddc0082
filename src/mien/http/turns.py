"""Workers behind one socket share the connections: whoever holds fewer lets the next one in."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["TakingTurns"]

# A worker that holds twice as many as another looks so much later whether somebody waits. No less,
# since timers count in milliseconds; not for ever, since those that it holds may be idle.
_STEP_S = 0.001
_MOST_STEPS = 6
# So many are let in one by one while at each look somebody waits. When that does not empty the
# queue, it is not the moment to be choosy.
_ONE_BY_ONE = 16
# Once the process may open no more files, asyncio's own servers look again after so long.
_OUT_OF_FILES_S = 1.0


class TakingTurns(asyncio.SelectorEventLoop):
    """A worker's event loop. A server of asyncio's own takes all that wait before others wake."""

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *, sock: socket.socket, **_: Any
    ) -> "_Door":
        """Let in who connects to ``sock``, which listens already."""
        return _Door(self, protocol_factory, sock)


class _Door:
    """As much of ``asyncio.Server`` as the HTTP server asks for."""

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
        self._held: list[socket.socket] = []
        self._entering: set[asyncio.Task[Any]] = set()
        self._in_a_row = 0
        self._timer = loop.call_later(0, self._watch)

    def close(self) -> None:
        """Let in who waits, but nobody who comes later; those who are in stay."""
        self._loop.remove_reader(self._listener)
        self._timer.cancel()
        # When all workers have closed the listener, who still waits is cut off.
        with suppress(OSError):
            while True:
                self._enter(self._listener.accept()[0])

    async def wait_closed(self) -> None:
        """Return, since ``close`` leaves nothing to wait for."""

    def _watch(self) -> None:
        self._loop.add_reader(self._listener, self._hold_back)

    def _hold_back(self) -> None:
        """Leave who waits to workers that hold fewer."""
        self._loop.remove_reader(self._listener)
        self._held = [connection for connection in self._held if connection.fileno() >= 0]
        steps = min(len(self._held).bit_length(), _MOST_STEPS)
        self._timer = self._loop.call_later(steps * _STEP_S, self._let_in)

    def _let_in(self) -> None:
        try:
            for _ in range(1 + self._in_a_row // _ONE_BY_ONE):
                self._enter(self._listener.accept()[0])
                self._in_a_row += 1
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            # Nobody waits: another worker was quicker, or the caller has left.
            self._in_a_row = 0
        except OSError as error:
            context = {"message": "no connection can be accepted now", "exception": error}
            self._loop.call_exception_handler(context)
            self._timer = self._loop.call_later(_OUT_OF_FILES_S, self._watch)
            return
        self._watch()

    def _enter(self, connection: socket.socket) -> None:
        self._held.append(connection)
        serving = self._loop.connect_accepted_socket(self._protocol_factory, connection)
        entering = self._loop.create_task(serving)
        self._entering.add(entering)
        entering.add_done_callback(self._entering.discard)
