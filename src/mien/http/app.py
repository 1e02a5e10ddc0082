"""The application: routes, errors and the service's life put together."""

import asyncio
import faulthandler
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mien._version import __version__
from mien.config import Settings
from mien.errors import (
    ForbiddenOriginError,
    InvalidParameterError,
    MethodNotAllowedError,
    MienError,
    NotFoundError,
)
from mien.http.connection import TELL
from mien.http.exchange import ExchangeMiddleware, exchange_of, tell
from mien.http.metrics import Metrics
from mien.http.problems import INTERNAL, code_of
from mien.http.routes.documentation import documentation_routes
from mien.http.routes.emotion import emotion_routes
from mien.http.routes.live import live_routes
from mien.http.routes.page import page_routes
from mien.http.routes.system import system_routes
from mien.http.routes.video import video_routes
from mien.http.service import Service, recognizer_of
from mien.http.signals import noticing_shutdown
from mien.recognizer import Recognizer

if TYPE_CHECKING:
    from mien.http.traces import Traces

__all__ = ["create_app", "traces_class"]

# After what is not done was given up, for its threads to notice.
_SPARE_S = 5

_DESCRIPTION = (
    "Reads emotions off the faces in a photo. What a face shows is an expression; "
    "it is not what the person feels."
)


def create_app(
    settings: Settings,
    *,
    build: Callable[[Settings], Recognizer] = recognizer_of,
    recognizer: Recognizer | None = None,
    metrics_folder: Path | None = None,
) -> FastAPI:
    """Return the service as an ASGI application; models are loaded when its lifespan begins.

    build: makes the recognizer, here and in each process that works on pictures, to which it is
    sent by pickle; whatever it raises ends the start-up.
    recognizer: what ``build`` would make here, where it is there already.
    metrics_folder: where processes that serve together keep their counts.
    Raises InvalidParameterError for settings that can't be had.
    """
    metrics = Metrics(metrics_folder)
    traces = traces_class()(settings.trace_endpoint) if settings.trace_endpoint else None
    telling = partial(tell, metrics=metrics, record=traces.record if traces else None)
    service = Service(settings, build, metrics, recognizer)
    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan_of(service, traces, {TELL: telling}),
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    if settings.cors_origins:
        app.add_middleware(_Cors, **_cors(settings.cors_origins))
    app.add_middleware(
        ExchangeMiddleware,
        tell=telling,
        in_flight=metrics.in_flight.track_inprogress,
        leaving=lambda: service.draining,
    )
    app.add_exception_handler(MienError, _on_error)
    app.add_exception_handler(HTTPException, _on_routing)
    app.include_router(emotion_routes(service))
    app.include_router(video_routes(service))
    app.include_router(live_routes(service))
    app.include_router(system_routes(service))
    if settings.page:
        app.include_router(page_routes())
    if settings.docs:
        app.include_router(documentation_routes(app))
    return app


def traces_class() -> "type[Traces]":
    """Return what sends traces. Raises InvalidParameterError without the extra ``otel``."""
    try:
        from mien.http.traces import Traces  # noqa: PLC0415 - an extra, loaded where it is wanted
    except ImportError as error:
        raise InvalidParameterError("traces need: pip install 'mien[otel]'") from error
    return Traces


def _cors(origins: str) -> dict[str, Any]:
    """Return what pages of these origins may do; never with cookies, which mean nothing here."""
    return {
        "allow_origins": [origin.strip() for origin in origins.split(",")],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        "expose_headers": ["Retry-After", "Server-Timing", "X-Request-ID"],
    }


class _Cors(CORSMiddleware):
    """Refuses pages of other sites with a problem, in place of the library's own text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ForbiddenOriginError as error:
            # Outside of what answers the errors of routes.
            await exchange_of(HTTPConnection(scope)).problem(error)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return what lets a page call. Raises ForbiddenOriginError."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        if self.is_allowed_origin(request_headers["origin"]):
            methods, allowed = " and ".join(self.allow_methods), answer.headers
            names = allowed["Access-Control-Allow-Headers"]
            raise ForbiddenOriginError(f"pages of other sites may {methods} with headers {names}")
        raise ForbiddenOriginError("pages of this site may not call this service")


def _lifespan_of(
    service: Service, traces: "Traces | None", state: Mapping[str, Any]
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    settings = service.settings

    def leave() -> None:
        service.drain()
        # For work that notices no deadline: ends the process and says where it was stuck.
        patience_s = settings.drain_s + _SPARE_S
        faulthandler.dump_traceback_later(patience_s, exit=True, file=sys.__stderr__ or sys.stderr)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        try:
            await asyncio.to_thread(service.start)
            with noticing_shutdown(leave, delay_s=settings.stop_delay_s):
                yield state
        finally:
            await asyncio.to_thread(service.close)
            if traces is not None:
                await asyncio.to_thread(traces.close)
            faulthandler.cancel_dump_traceback_later()

    return lifespan


async def _on_error(request: Request, error: Exception) -> Response:
    if code_of(error) == INTERNAL:
        # Not the caller's to know: the outermost net writes it to the log.
        raise error
    return exchange_of(request).problem(error)


async def _on_routing(request: Request, error: Exception) -> Response:
    """Answer what the router found wrong; its only words are a status and the Allow header."""
    exchange = exchange_of(request)
    match error:
        case HTTPException(status_code=404):
            nothing = NotFoundError("there is nothing at this path; see /docs")
            return exchange.problem(nothing)
        case HTTPException(status_code=405, headers={"Allow": allow}):
            wrong = MethodNotAllowedError(f"this path takes {allow}")
            return exchange.problem(wrong, {"Allow": allow})
    # Nothing here raises any other; should a later release of the framework, the log will tell.
    raise error
