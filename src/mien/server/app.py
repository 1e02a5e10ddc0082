"""The application: routers, error handlers and the service's lifespan."""

import faulthandler
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from mien._version import __version__
from mien.errors import InvalidParameterError, MienError
from mien.recognizer import Recognizer
from mien.server.context import RECORD, ContextMiddleware, context_of, record
from mien.server.dependencies import SECURITY
from mien.server.docs import docs_router
from mien.server.errors import INTERNAL, RequestError, code_of
from mien.server.hardening.signals import on_shutdown
from mien.server.metrics import Metrics
from mien.server.multipart import quoted
from mien.server.openapi import document_of
from mien.server.routes import emotion, live, system, video
from mien.server.routes.page import page_router
from mien.server.service import Service
from mien.settings import Settings, recognizer_builder

if TYPE_CHECKING:
    from mien.server.traces import Traces

__all__ = ["create_app", "traces_class"]

# After unfinished requests were cancelled, for the process to end.
_SPARE_S = 5

_log = logging.getLogger("mien.server")

_DESCRIPTION = (
    "Finds faces in images and classifies the emotion of each. An expression is not what the "
    "person feels.\n\n"
    "The WebSocket `/live`, which OpenAPI cannot describe, analyzes the frames of a camera. Send "
    "each frame as a binary message with an image file. For each analyzed frame, the service sends "
    "a JSON message with `frame` (number from 0), `dropped` (frames that newer ones replaced), "
    "`size` (width and height), `faces` (as in the response of `POST /emotion`, each with "
    "`person`, its number) and `seconds` (time of each stage); or `error` in place of the last "
    "three. Query parameters are those of `POST /emotion`, and `smooth=true` to smooth each "
    "person's emotions over time."
)
_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    # Libraries in web pages add headers, such as those of traces. All are harmless, because the
    # service uses no cookies.
    "allow_headers": ["*"],
    "expose_headers": ["Retry-After", "Server-Timing", "X-Request-ID"],
}


def create_app(
    settings: Settings,
    *,
    build: Callable[[], Recognizer] | None = None,
    metrics_folder: Path | None = None,
    address: str = "",
) -> FastAPI:
    """Return the service as an ASGI application; its lifespan loads the models.

    Args:
        settings: All settings.
        build: Builds the recognizer in each worker process; must be picklable. Its errors end the
            startup. None: build it from the settings.
        metrics_folder: Where server processes that share a port keep their metrics.
        address: Where it listens; logged when it is ready.

    Raises:
        InvalidParameterError: The API keys, rate limits or traces of the settings are invalid.
    """
    metrics = Metrics(metrics_folder)
    traces = traces_class()(settings.trace_endpoint) if settings.trace_endpoint else None
    recording = partial(record, metrics=metrics, trace=traces.record if traces else None)
    service = Service(settings, build or recognizer_builder(settings), metrics)
    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan_of(service, traces, {RECORD: recording}, address),
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.openapi = cache(partial(document_of, app))  # type: ignore[method-assign]
    app.state.service = service
    if settings.cors_origins:
        origins = [origin.strip() for origin in settings.cors_origins.split(",")]
        app.add_middleware(CORSMiddleware, allow_origins=origins, **_CORS)
    app.add_middleware(
        ContextMiddleware,
        record=recording,
        in_flight=metrics.in_flight.track_inprogress,
        draining=lambda: service.draining,
        root_path=settings.root_path,
    )
    app.add_exception_handler(MienError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(WebSocketRequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_no_route)
    _include_routers(app, service)
    return app


def traces_class() -> "type[Traces]":
    """Return what sends traces. Raises InvalidParameterError without the extra ``otel``."""
    try:
        from mien.server.traces import Traces  # noqa: PLC0415 - an extra, loaded only when needed
    except ImportError as error:
        raise InvalidParameterError("traces need: pip install 'mien[otel]'") from error
    return Traces


def _include_routers(app: FastAPI, service: Service) -> None:
    settings = service.settings
    security: list[Any] = SECURITY if service.keys else []
    app.include_router(emotion.router, dependencies=security)
    app.include_router(video.router, dependencies=security)
    app.include_router(live.router)
    app.include_router(system.router)
    if settings.metrics:
        app.include_router(system.metrics_router)
    if settings.docs:
        app.include_router(docs_router(app))
    if settings.page:
        app.include_router(page_router(settings.root_path, docs=settings.docs))


def _lifespan_of(
    service: Service, traces: "Traces | None", state: Mapping[str, Any], address: str
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    settings = service.settings

    def stop() -> None:
        service.drain()
        # If something blocks the event loop: end the process and write where it was stuck.
        patience_s = settings.drain_s + _SPARE_S
        faulthandler.dump_traceback_later(patience_s, exit=True, file=sys.__stderr__ or sys.stderr)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        try:
            await service.start()
            # FastAPI prepares its routes, and anyio loads its backend, when they are first used.
            app.openapi()
            CancelScope()
            with on_shutdown(stop, delay_s=settings.stop_delay_s):
                if address:
                    _log.info("ready", extra={"address": address})
                yield state
        finally:
            await service.close()
            if traces is not None:
                await traces.close()
            faulthandler.cancel_dump_traceback_later()

    return lifespan


async def _on_error(connection: Any, error: Exception) -> Any:
    if code_of(error) == INTERNAL:
        # Not for the client: ContextMiddleware logs it.
        raise error
    return await _send(connection, error)


async def _on_invalid(connection: Any, error: Exception) -> Any:
    """Name the query parameter that is unknown or out of range."""
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)  # noqa: S101
    first = error.errors()[0]
    name = quoted(str(first["loc"][1] if len(first["loc"]) > 1 else ""))[1:-1]
    if first["type"] == "extra_forbidden":
        text = f"there is no parameter {name!r}; see /docs"
    else:
        what = first["msg"][0].lower() + first["msg"][1:]
        text = f"{name}: {what}, not {quoted(str(first['input']))}"
    return await _send(connection, InvalidParameterError(text))


async def _on_no_route(connection: Any, error: Exception) -> Any:
    """Respond to errors of the router, such as 404 and 405."""
    match error:
        case HTTPException(status_code=404):
            hint = ""
            if connection.url.path.endswith("/live"):
                hint = "/live is a WebSocket: connect to ws:// or wss://; see /docs"
            return await _send(connection, RequestError("not_found", hint))
        case HTTPException(status_code=405, headers={"Allow": allow}):
            wrong = RequestError("method_not_allowed", f"this path supports {allow}")
            return context_of(connection).problem(wrong, {"Allow": allow})
    # FastAPI raises no other here today; if a later release does, the log will have it.
    raise error


async def _send(connection: HTTPConnection, error: BaseException) -> Response | None:
    response = context_of(connection).problem(error)
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(response)
        return None
    return response
