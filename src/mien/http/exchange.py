"""Around every request: its id, its timings, what is told of it, and a last net for errors."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import NotFoundError, NotReadyError
from mien.http.linger import discard_body
from mien.http.metrics import Metrics
from mien.http.problems import INTERNAL, code_of, detail_of, problem_response
from mien.http.work import Done
from mien.results import ImageResult, error_record

__all__ = ["Exchange", "ExchangeMiddleware", "Stage", "exchange_of", "tell"]

_KEY = "mien.exchange"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Source: W3C Trace Context, 3.2; ids of zeros alone are invalid.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_LOGGED_PATH = 200
_CLIENT_GONE = 499
_NO_ROUTE = "other"
_WATCHED = frozenset({"/livez", "/readyz", "/metrics"})

# For answers that set none of their own. Source: OWASP REST Security Cheat Sheet.
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_access = logging.getLogger("mien.access")
_errors = logging.getLogger("mien.http")


class Stage(NamedTuple):
    """A part of the work. began_s: as ``time.perf_counter`` counts."""

    name: str
    began_s: float
    seconds: float


@dataclass(slots=True)
class Exchange:
    """One request and its answer. codes: of the errors that the caller got."""

    request_id: str
    method: str
    path: str
    traceparent: str | None = None
    began_s: float = field(default_factory=time.perf_counter)
    began_ns: int = field(default_factory=time.time_ns)
    route: str = _NO_ROUTE
    seconds: float = 0.0
    pictures: int = 0
    faces: int = 0
    stages: list[Stage] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, scope: Scope) -> "Exchange":
        """Return a new one; its id is the caller's, or its trace's, if they are well-formed."""
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        traced = trace[1] if trace else uuid.uuid4().hex
        return cls(
            given if _ID.fullmatch(given) else traced,
            scope["method"],
            _path(scope),
            trace[0] if trace else None,
        )

    def add(self, outcomes: Sequence[Done[ImageResult]]) -> None:
        """Take note of the work on pictures."""
        self.count(outcomes)
        for done in outcomes:
            at_s = done.asked_s
            self.stages.append(Stage("queue", at_s, done.queued_s))
            if isinstance(done.answer, ImageResult):
                at_s += done.queued_s
                for name in ("decode", "detect", "classify"):
                    seconds = getattr(done.answer.seconds, name)
                    self.stages.append(Stage(name, at_s, seconds))
                    at_s += seconds

    def count(self, outcomes: Sequence[Done[ImageResult]]) -> None:
        """Take note of pictures, not of each one's work: for exchanges without an end."""
        for done in outcomes:
            if isinstance(done.answer, ImageResult):
                self.pictures += 1
                self.faces += len(done.answer.faces)

    def failure(self, error: BaseException, words: str) -> dict[str, Any]:
        """Return what stands in for one answer of several; what is ours to mend is logged."""
        code = code_of(error)
        if code == INTERNAL:
            _errors.error(words, extra={"request_id": self.request_id}, exc_info=error)
        return error_record(code, detail_of(error))

    def problem(self, error: BaseException, headers: Mapping[str, str] | None = None) -> Response:
        """Return the error as the answer. headers: further ones to send."""
        self.codes.append(code_of(error))
        return problem_response(error, self.request_id, headers)

    @property
    def milliseconds(self) -> dict[str, float]:
        """Of each stage, for all pictures: work adds up, of the waits the longest counts."""
        totals = dict.fromkeys(("decode", "detect", "classify", "queue"), 0.0)
        for stage in self.stages:
            total = totals[stage.name]
            totals[stage.name] = (
                max(total, stage.seconds) if stage.name == "queue" else total + stage.seconds
            )
        return {name: round(seconds * 1000, 1) for name, seconds in totals.items()}

    def headers(self) -> dict[str, str]:
        """Return what every answer carries."""
        timing = ", ".join(f"{name};dur={ms:.1f}" for name, ms in self.milliseconds.items())
        return {**_SECURITY, "X-Request-ID": self.request_id, "Server-Timing": timing}


def exchange_of(request: HTTPConnection) -> Exchange:
    """Return the exchange that a request belongs to."""
    exchange: Exchange = request.scope[_KEY]
    return exchange


def tell(
    exchange: Exchange,
    status: int,
    *,
    metrics: Metrics,
    record: Callable[[Exchange, int], str] | None,
) -> None:
    """Count and log an exchange that is over. record: hands it to a tracer, returns a trace id."""
    exchange.seconds = time.perf_counter() - exchange.began_s
    if status != HTTPStatus.SWITCHING_PROTOCOLS:  # that is a view, which lasts as long as one looks
        metrics.count_request(exchange.method, exchange.route, status, exchange.seconds)
    metrics.count_rejections(exchange.codes)
    line = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "status": status,
        "duration_ms": round(exchange.seconds * 1000, 1),
    }
    if exchange.pictures and not exchange.stages:
        line |= {"pictures": exchange.pictures, "faces": exchange.faces}
    if exchange.stages:
        stages = {f"{name}_ms": ms for name, ms in exchange.milliseconds.items()}
        line |= {"pictures": exchange.pictures, "faces": exchange.faces, **stages}
    if exchange.codes:
        line["codes"] = exchange.codes
    if record:
        line["trace_id"] = record(exchange, status)
    elif exchange.traceparent:
        line["trace_id"] = exchange.traceparent.split("-")[1]
    # Those who watch ask all the time.
    level = (
        logging.DEBUG if status == HTTPStatus.OK and exchange.route in _WATCHED else logging.INFO
    )
    _access.log(level, "request", extra=line)


class ExchangeMiddleware:
    """Plain ASGI, outermost: what it adds is on every response, whoever made it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tell: Callable[[Exchange, int], None],
        in_flight: Callable[[], AbstractContextManager[object]] = nullcontext,
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wrap the application.

        tell: takes each exchange when it is over, with its status; in_flight: entered meanwhile;
        leaving: whether connections end with their next answer, as the service is stopping.
        """
        self._app = app
        self._tell = tell
        self._in_flight = in_flight
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._live(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.of(scope)
        answer = _Answer(exchange, scope, receive, send, self._leaving)
        # A HEAD is a GET whose body stays unsent: no route needs to know.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        inner = {**scope, "method": method, _KEY: exchange}
        try:
            with self._in_flight():
                await self._guarded(inner, exchange, answer)
        finally:
            exchange.route = getattr(inner.get("route"), "path", _NO_ROUTE)
            self._tell(exchange, answer.status)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of({**scope, "method": "GET"})
        status = _CLIENT_GONE  # until anything is sent

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = HTTPStatus.SWITCHING_PROTOCOLS.value
            elif message["type"] == "websocket.http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in exchange.headers().items():
                    headers.setdefault(name, value)
            elif message["type"] == "websocket.close" and status == _CLIENT_GONE:
                # The router's way to say that there is nothing.
                nothing = NotFoundError("there is no WebSocket at this path; see /docs")
                await exchange.problem(nothing)(scope, receive, noting)
                return
            await send(message)

        inner = {**scope, _KEY: exchange}
        try:
            await self._app(inner, receive, noting)
        except Exception as error:
            if status != _CLIENT_GONE:
                raise
            _errors.exception("request failed", extra={"request_id": exchange.request_id})
            await exchange.problem(error)(scope, receive, noting)
        finally:
            exchange.route = getattr(inner.get("route"), "path", _NO_ROUTE)
            self._tell(exchange, status)

    async def _guarded(self, scope: Scope, exchange: Exchange, answer: "_Answer") -> None:
        try:
            await self._app(scope, answer.receive, answer.send)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return
        except asyncio.CancelledError:
            # The server gives up what is not done when its time to stop is over.
            if not answer.begun:
                late = NotReadyError("the service has shut down; try again")
                await exchange.problem(late)(scope, answer.receive, answer.send)
        except Exception as error:
            _errors.exception("request failed", extra={"request_id": exchange.request_id})
            if answer.begun:
                raise
            await exchange.problem(error)(scope, answer.receive, answer.send)


class _Answer:
    """What routes receive from and send to. status: what was sent, 499 until anything was.

    An answer that does not wait for the whole body ends the connection: otherwise the server would
    read what is left of it, however long and however slow, before the next request.
    """

    def __init__(
        self,
        exchange: Exchange,
        scope: Scope,
        receive: Receive,
        send: Send,
        leaving: Callable[[], bool],
    ) -> None:
        self.status = _CLIENT_GONE
        self.begun = False
        self._exchange = exchange
        self._bodiless = scope["method"] == "HEAD"
        self._body_pending = _has_body(scope)
        self._closing = False
        self._leaving = leaving
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_pending = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._bodiless:
            message = {**message, "body": b""}
        elif self._closing and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await discard_body(self._receive)
            message = {**message, "body": b""}
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.begun = True
        self.status = message["status"]
        headers = MutableHeaders(scope=message)
        self._closing = self._body_pending
        if self._closing or self._leaving():
            headers["Connection"] = "close"
        for name, value in self._exchange.headers().items():
            headers.setdefault(name, value)


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in scope["headers"]
    )


def _path(scope: Scope) -> str:
    """Return the path as it was sent: percent-encoded, so that it can't break the line."""
    raw = scope.get("raw_path")
    path = scope["path"] if raw is None else raw.decode("latin-1")
    return quote(path[:_MAX_LOGGED_PATH], safe="/%")
