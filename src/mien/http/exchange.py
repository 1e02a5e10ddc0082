"""Around every request: its id, its timings, its line in the log, and a last net for errors."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import NotReadyError
from mien.http.linger import discard_body
from mien.http.problems import problem_response
from mien.http.work import Done
from mien.types import ImageResult

__all__ = ["Exchange", "ExchangeMiddleware", "exchange_of"]

_KEY = "mien.exchange"
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_MAX_LOGGED_PATH = 200
_CLIENT_GONE = 499

_access = logging.getLogger("mien.access")
_errors = logging.getLogger("mien.http")


@dataclass(slots=True)
class Exchange:
    """One request and its answer. stages_s: seconds by stage, 0 where it was not needed."""

    request_id: str
    stages_s: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("decode", "detect", "classify", "queue"), 0.0)
    )

    def add(self, outcomes: Iterable[Done[ImageResult]]) -> None:
        """Count the work of several pictures: stages add up, of the waits the longest counts."""
        for done in outcomes:
            self.stages_s["queue"] = max(self.stages_s["queue"], done.queued_s)
            if isinstance(done.answer, ImageResult):
                seconds = done.answer.seconds
                self.stages_s["decode"] += seconds.decode
                self.stages_s["detect"] += seconds.detect
                self.stages_s["classify"] += seconds.classify

    @property
    def server_timing(self) -> str:
        """The header's value; durations in milliseconds."""
        return ", ".join(f"{name};dur={s * 1000:.1f}" for name, s in self.stages_s.items())


def exchange_of(request: Request) -> Exchange:
    """Return the exchange that a request belongs to."""
    exchange: Exchange = request.scope[_KEY]
    return exchange


class ExchangeMiddleware:
    """Plain ASGI, outermost: what it adds is on every response, whoever made it."""

    def __init__(self, app: ASGIApp, *, leaving: Callable[[], bool] = lambda: False) -> None:
        """leaving: whether connections end with their next answer, as the service is stopping."""
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = Exchange(_request_id(scope))
        answer = _Answer(exchange, scope, receive, send, self._leaving)
        # A HEAD is a GET whose body stays unsent: no route needs to know.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        inner = {**scope, "method": method, _KEY: exchange}
        try:
            await self._guarded(inner, answer)
        finally:
            _access.info(
                "%s %s %d %.1fms id=%s",
                scope["method"],
                _path(scope),
                answer.status,
                (time.perf_counter() - started) * 1000,
                exchange.request_id,
            )

    async def _guarded(self, scope: Scope, answer: "_Answer") -> None:
        request_id = scope[_KEY].request_id
        try:
            await self._app(scope, answer.receive, answer.send)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return
        except asyncio.CancelledError:
            # The server gives up what is not done when its time to stop is over.
            if not answer.begun:
                late = NotReadyError("the service has shut down; try again")
                await problem_response(late, request_id)(scope, answer.receive, answer.send)
        except Exception as error:
            _errors.exception("request %s failed", request_id)
            if answer.begun:
                raise
            await problem_response(error, request_id)(scope, answer.receive, answer.send)


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
        headers["X-Request-ID"] = self._exchange.request_id
        headers["Server-Timing"] = self._exchange.server_timing
        headers["X-Content-Type-Options"] = "nosniff"


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        for name, value in scope["headers"]
    )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value.decode("ascii"))
    return uuid.uuid4().hex


def _path(scope: Scope) -> str:
    """Return the path as it was sent: percent-encoded, so that it can't break the line."""
    raw = scope.get("raw_path")
    path = scope["path"] if raw is None else raw.decode("latin-1")
    return quote(path[:_MAX_LOGGED_PATH], safe="/%")
