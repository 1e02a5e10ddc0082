"""The context of a request: its id, timings, recorded metrics, and unhandled errors."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.results import Failure, ImageResult
from mien.server.errors import INTERNAL, RequestError, code_of, detail_of, problem_response
from mien.server.metrics import Metrics
from mien.workers import Outcome

__all__ = ["RECORD", "ContextMiddleware", "RequestContext", "Stage", "context_of", "record"]

# The application's lifespan leaves ``record`` in its state under this name, for requests that the
# HTTP parser refuses.
RECORD = "record"
_KEY = "mien.context"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Source: W3C Trace Context, 3.2; ids of zeros alone are invalid.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_LOGGED_PATH = 200
_CLIENT_GONE = 499
_NO_ROUTE = "other"
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
# How much of a body is read on after an early response. Closing at once would reset the connection,
# and many clients would never see the response.
_LINGER_S = 2.0
_LINGER_BYTES = 64_000_000

# Defaults for responses that do not set them. Source: OWASP REST Security Cheat Sheet.
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
_errors = logging.getLogger("mien.server")


class Stage(NamedTuple):
    """A stage of the work. ``began_s``: on the clock of ``time.perf_counter``."""

    name: str
    began_s: float
    seconds: float


@dataclass(slots=True)
class RequestContext:
    """One request and its response.

    ``codes``: of the errors that the client got; ``key``: the name of its API key.
    """

    request_id: str
    method: str
    path: str
    root_path: str = ""
    traceparent: str | None = None
    began_s: float = field(default_factory=time.perf_counter)
    began_ns: int = field(default_factory=time.time_ns)
    route: str = _NO_ROUTE
    seconds: float = 0.0
    images: int = 0
    faces: int = 0
    stages: list[Stage] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    key: str | None = None

    @classmethod
    def from_scope(cls, scope: Scope) -> "RequestContext":
        """Return a new context; its id is the client's or that of its trace, if well-formed."""
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        traced = trace[1] if trace else uuid.uuid4().hex
        return cls(
            given if _ID.fullmatch(given) else traced,
            # A WebSocket's handshake is a GET.
            scope.get("method", "GET"),
            _path(scope),
            scope.get("root_path", ""),
            trace[0] if trace else None,
        )

    def add(self, outcomes: Sequence[Outcome[ImageResult]]) -> None:
        """Record the images and the stages of their analysis."""
        self.count(outcomes)
        for outcome in outcomes:
            at_s = outcome.submitted_s
            self.stages.append(Stage("queue", at_s, outcome.queued_s))
            if isinstance(outcome.result, ImageResult):
                at_s += outcome.queued_s
                for name, seconds in asdict(outcome.result.seconds).items():
                    self.stages.append(Stage(name, at_s, seconds))
                    at_s += seconds

    def count(self, outcomes: Sequence[Outcome[ImageResult]]) -> None:
        """Record the images alone: for requests that may have any number of them."""
        for outcome in outcomes:
            if isinstance(outcome.result, ImageResult):
                self.images += 1
                self.faces += len(outcome.result.faces)

    def failure(self, error: BaseException, event: str, *, count: bool = True) -> dict[str, Any]:
        """Return the record of the error of one result of several; log it if it is internal.

        Args:
            error: The error.
            event: For the log.
            count: Whether the code is one of this request's.
        """
        code = code_of(error)
        if code == INTERNAL:
            _errors.error(event, extra={"request_id": self.request_id}, exc_info=error)
        if count:
            self.codes.append(code)
        return asdict(Failure(code, detail_of(error)))

    def problem(self, error: BaseException, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response that describes the error, with these extra headers."""
        self.codes.append(code_of(error))
        return problem_response(error, self.request_id, headers, self.root_path)

    @property
    def milliseconds(self) -> dict[str, float]:
        """Time of each stage, added up over all images; of the waits, the longest."""
        totals = dict.fromkeys(("decode", "detect", "classify", "queue"), 0.0)
        for stage in self.stages:
            total = totals[stage.name]
            totals[stage.name] = (
                max(total, stage.seconds) if stage.name == "queue" else total + stage.seconds
            )
        return {name: round(seconds * 1000, 1) for name, seconds in totals.items()}

    def headers(self) -> dict[str, str]:
        """Return the headers of every response."""
        timing = ", ".join(f"{name};dur={ms:.1f}" for name, ms in self.milliseconds.items())
        return {**_SECURITY, "X-Request-ID": self.request_id, "Server-Timing": timing}


def context_of(connection: HTTPConnection) -> RequestContext:
    """Return the context of a request."""
    context: RequestContext = connection.scope[_KEY]
    return context


def record(
    context: RequestContext,
    status: int,
    *,
    metrics: Metrics,
    trace: Callable[[RequestContext, int], str] | None,
) -> None:
    """Count and log a request whose response is out.

    Args:
        context: Of the request.
        status: Of the response.
        metrics: Where it is counted.
        trace: Gives it to a tracer and returns the trace id.
    """
    context.seconds = time.perf_counter() - context.began_s
    # The client decides how long a WebSocket lasts.
    if status != HTTPStatus.SWITCHING_PROTOCOLS:
        metrics.count_request(context.method, context.route, status, context.seconds)
    metrics.count_rejections(context.codes)
    line = {
        "request_id": context.request_id,
        "method": context.method,
        "path": context.path,
        "status": status,
        "duration_ms": round(context.seconds * 1000, 1),
    }
    if context.key:
        line["key"] = context.key
    if context.images or context.stages:
        line |= {"images": context.images, "faces": context.faces}
    if context.stages:
        line |= {f"{name}_ms": ms for name, ms in context.milliseconds.items()}
    if context.codes:
        line["codes"] = context.codes
    if trace:
        line["trace_id"] = trace(context, status)
    elif context.traceparent:
        line["trace_id"] = context.traceparent.split("-")[1]
    # Probes are frequent.
    level = logging.DEBUG if status == HTTPStatus.OK and context.route in _PROBES else logging.INFO
    _access.log(level, "request", extra=line)


class ContextMiddleware:
    """Outermost middleware, in plain ASGI: it adds headers to every response, including errors."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        record: Callable[[RequestContext, int], None],
        in_flight: Callable[[], AbstractContextManager[object]] = nullcontext,
        draining: Callable[[], bool] = lambda: False,
        root_path: str = "",
    ) -> None:
        """Wrap the application.

        Args:
            app: The application.
            record: Called with the context and the status when a response has been sent.
            in_flight: Returns a context manager that is entered while a request is processed.
            draining: Whether to close connections after their next response.
            root_path: Path prefix below which a proxy serves the application, whether it removes
                the prefix or not.
        """
        self._app = app
        self._record = record
        self._in_flight = in_flight
        self._draining = draining
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, partial(_without_traceback, send))
            return
        scope = {**scope, "root_path": self._root_path or scope.get("root_path", "")}
        scope["path"] = _without_slash(scope)
        context = RequestContext.from_scope(scope)
        if scope["type"] == "websocket":
            await self._live(scope, context, receive, send)
            return
        response = _Response(context, scope, receive, send, self._draining)
        # HEAD is handled as a GET without sending the body, so routes need no code for it.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        inner = {**scope, "method": method, _KEY: context}
        try:
            with self._in_flight():
                await self._guarded(inner, context, response)
        finally:
            context.route = getattr(inner.get("route"), "path", _NO_ROUTE)
            self._record(context, response.status)

    async def _live(
        self, scope: Scope, context: RequestContext, receive: Receive, send: Send
    ) -> None:
        status = _CLIENT_GONE  # until anything is sent

        async def recording(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = HTTPStatus.SWITCHING_PROTOCOLS.value
            elif message["type"] == "websocket.http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in context.headers().items():
                    headers.setdefault(name, value)
            elif message["type"] == "websocket.close" and status == _CLIENT_GONE:
                # The router found no route.
                nothing = RequestError("not_found", "there is no WebSocket at this path; see /docs")
                await context.problem(nothing)(scope, receive, recording)
                return
            await send(message)

        inner = {**scope, _KEY: context}
        try:
            await self._app(inner, receive, recording)
        except Exception as error:
            if status != _CLIENT_GONE:
                raise
            _errors.exception("request failed", extra={"request_id": context.request_id})
            await context.problem(error)(scope, receive, recording)
        finally:
            context.route = getattr(inner.get("route"), "path", _NO_ROUTE)
            self._record(context, status)

    async def _guarded(self, scope: Scope, context: RequestContext, response: "_Response") -> None:
        try:
            await self._app(scope, response.receive, response.send)
        except ClientDisconnect:
            # The client is gone, so there is no response.
            return
        except asyncio.CancelledError:
            # The server cancels unfinished requests at the end of the shutdown time.
            if not response.started:
                late = RequestError("not_ready")
                await context.problem(late)(scope, response.receive, response.send)
        except Exception as error:
            _errors.exception("request failed", extra={"request_id": context.request_id})
            if response.started:
                raise
            await context.problem(error)(scope, response.receive, response.send)


class _Response:
    """Wraps ``receive`` and ``send`` of a request. ``status`` is 499 until a status is sent.

    A response that does not wait for the whole body ends the connection: otherwise the server would
    read the rest, however long and however slow, before the next request.
    """

    def __init__(
        self,
        context: RequestContext,
        scope: Scope,
        receive: Receive,
        send: Send,
        draining: Callable[[], bool],
    ) -> None:
        self.status = _CLIENT_GONE
        self.started = False
        self._context = context
        self._bodiless = scope["method"] == "HEAD"
        self._body_pending = _has_body(scope)
        self._closing = False
        self._draining = draining
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
            await _discard_body(self._receive)
            message = {**message, "body": b""}
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.started = True
        self.status = message["status"]
        headers = MutableHeaders(scope=message)
        self._closing = self._body_pending
        if self._closing or self._draining():
            headers["Connection"] = "close"
        for name, value in self._context.headers().items():
            headers.setdefault(name, value)


async def _discard_body(receive: Receive) -> None:
    """Read and drop the rest of a body: until it ends, for 2 seconds, or for 64 MB."""
    discarded = 0
    try:
        async with asyncio.timeout(_LINGER_S):
            while discarded < _LINGER_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in scope["headers"]
    )


async def _without_traceback(send: Send, message: Message) -> None:
    """Send a lifespan message; for errors of this package, the server logs only the message."""
    if message["type"] == "lifespan.startup.failed":
        last = message["message"].splitlines()[-1]
        if last.startswith("mien."):
            message = {**message, "message": last.partition(": ")[2]}
    await send(message)


def _without_slash(scope: Scope) -> str:
    """Return the path without a trailing slash, which makes no difference; with it for the root."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    return path.removesuffix("/") + ("/" if below in ("", "/") else "")


def _path(scope: Scope) -> str:
    """Return the path as it was sent: percent-encoded, so that it cannot break a log line."""
    raw = scope.get("raw_path")
    path = scope["path"] if raw is None else raw.decode("latin-1")
    return quote(path[:_MAX_LOGGED_PATH], safe="/%")
