"""HTTP and WebSocket connections with timeouts and problem+json for malformed HTTP.

Clients that do not finish sending headers in time, or accept no data, are disconnected.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from mien.errors import MienError
from mien.server.context import RECORD, RequestContext
from mien.server.errors import RequestError

__all__ = ["HttpConnection", "LiveConnection"]

_MAX_HEAD_BYTES = 16 * 1024  # as for the parser

# Parsing a chunk takes as long as some hundred bytes. Clients usually send kilobytes per chunk;
# chunks of one byte would keep the event loop busy.
_FREE_CHUNKS = 1000
_BYTES_PER_CHUNK = 64
# Empty WebSocket frames are as costly, so only this many bytes of a client are read at once.
_READ_BYTES = 16 * 1024
# Time for the network to report that a client has closed its connection.
_PROBE_S = 0.5
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
# At shutdown, idle connections stay open for this time: their next request may be on its way.
_LAST_REQUEST_S = 0.05
# Host, optional port, and the rest.
_ABSOLUTE = re.compile(rb"https?://([^/?#@:][^/?#@]*)([/?].*)?", re.IGNORECASE)


class _Parser(h11.Connection):
    """h11's parser, but it refuses tiny chunks and headers that proxies may read differently."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, _MAX_HEAD_BYTES)
        self._spare_chunks = 0.0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._spare_chunks = _FREE_CHUNKS
            lengths = {b"content-length", b"transfer-encoding"}
            if lengths <= {name for name, _ in event.headers}:
                # Source: RFC 9112, 6.3: an attempt to smuggle a request past a proxy.
                raise h11.RemoteProtocolError("two lengths")
            return _in_origin_form(event)
        if isinstance(event, h11.Data):
            self._spare_chunks += len(event.data) / _BYTES_PER_CHUNK - event.chunk_start
            if self._spare_chunks < 0:
                raise h11.RemoteProtocolError("chunks are too small")
        return event


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Return the request with a path as its target; proxies may be sent a full URL.

    Source: RFC 9112, 3.2.2: servers must accept it, and its host in place of the header's;
    RFC 9110, 4.2: they must refuse one without a host.
    """
    if not request.target.lower().startswith((b"http://", b"https://")):
        return request
    found = _ABSOLUTE.fullmatch(request.target)
    if found is None:
        raise h11.RemoteProtocolError("a URL without a host, or with more than a host")
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=b"/" + (found[2] or b"").removeprefix(b"/"),
        headers=[(b"host", found[1]), *headers],
        http_version=request.http_version,
    )


class _SendTimeout(asyncio.Protocol):
    """Aborts a connection whose client has not accepted all data within ``send_timeout_s``."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def __init__(self, *arguments: Any, send_timeout_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._send_timeout_s = send_timeout_s
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # So that pause_writing is called for every byte that is not accepted.
        transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        super().pause_writing()
        # Aborted, because closing would wait for the client.
        self._stalled = self.loop.call_later(self._send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._accepted()

    def connection_lost(self, exc: Exception | None) -> None:
        self._accepted()
        super().connection_lost(exc)

    def _accepted(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class HttpConnection(_SendTimeout, H11Protocol):
    """HTTP with deadlines for headers and problem+json for malformed requests.

    ``head_timeout_s``: from the start of the connection, or the first byte of a further request.
    """

    def __init__(self, *arguments: Any, head_timeout_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _Parser()
        self._head_timeout_s = head_timeout_s
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Refuse handshakes for which the WebSocket parser sends plain text or no response."""
        handshake = ServerProtocol()
        lines = [b"%s: %s\r\n" % header for header in event.headers]
        handshake.receive_data(b"GET %s HTTP/1.1\r\n%s\r\n" % (event.target, b"".join(lines)))
        request = next(iter(handshake.events_received()), None)
        accepted = isinstance(request, Request) and handshake.accept(request).status_code
        if event.method != b"GET" or accepted != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(
                RequestError("malformed_request", "this is not a valid WebSocket handshake")
            )
        else:
            super().handle_websocket_upgrade(event)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and self._is_long_head(data):
            self.send_400_response("")
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_is_there()
        elif self._head_due is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to keep the connection: clients may close only their sending half.

        Only a write shows whether the client has closed both halves: the system then resets the
        connection, and the next write fails. Both writes are interim responses, which clients
        skip. Source: RFC 9110, 15.2; HTTP/1.0 has none.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        # The second one is the state after a request with Connection: close.
        if self.conn.their_state not in (h11.DONE, h11.MUST_CLOSE):
            return False
        if cycle.scope["http_version"] == "1.0":
            return False
        cycle.keep_alive = False
        self._probe()
        self.loop.call_later(_PROBE_S, self._probe)
        return True

    def _probe(self) -> None:
        assert self.cycle is not None  # noqa: S101 - a half-closed connection has no further one
        if not self.cycle.response_started and not self.transport.is_closing():
            self.transport.write(_INTERIM)

    def shutdown(self) -> None:
        """Close the connection after its last request; uvicorn resets one that it has not read."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LAST_REQUEST_S, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, _: str) -> None:
        """Respond to malformed HTTP; uvicorn calls this with a text for its log."""
        self._refuse(RequestError("malformed_request"))

    def _is_long_head(self, data: bytes) -> bool:
        """Return whether the headers are too long; h11 checks only those that come in pieces."""
        buffered, _ = self.conn.trailing_data
        if len(buffered) + len(data) <= _MAX_HEAD_BYTES:
            return False
        return b"\r\n\r\n" not in (buffered + data[:_MAX_HEAD_BYTES])[:_MAX_HEAD_BYTES]

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(self._head_timeout_s, self._time_out)

    def _head_is_there(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _time_out(self) -> None:
        buffered, _ = self.conn.trailing_data
        if buffered and not self.transport.is_closing():
            late = f"the headers did not arrive within {self._head_timeout_s:g} seconds"
            self._refuse(RequestError("upload_timeout", late))
        else:
            self.transport.close()

    def _refuse(self, error: MienError) -> None:
        if self.cycle is not None:
            # A request before the malformed data no longer gets a response.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # A response was started; a second cannot follow.
            self.transport.close()
            return
        context = RequestContext.from_scope({"method": "other", "path": "", "headers": []})
        response = context.problem(error)
        headers = {**context.headers(), **response.headers, "Connection": "close"}
        for event in (
            h11.Response(
                status_code=response.status_code,
                headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                reason=STATUS_PHRASES[response.status_code],
            ),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        record: Callable[[RequestContext, int], None] | None = self.app_state.get(RECORD)
        if record is not None:
            record(context, response.status_code)


class LiveConnection(_SendTimeout, WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with smaller reads and without logging clients' errors."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport.max_size = _READ_BYTES  # type: ignore[attr-defined]

    async def send(self, message: Any) -> None:
        await super().send(message)
        # A refusal ends the handshake too; uvicorn takes it for an error of the application.
        self.handshake_complete |= self.close_sent

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                # uvicorn would do the same, and write the bytes to the log.
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
