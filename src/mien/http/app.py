"""The application: routes, errors and the service's life put together."""

import asyncio
import faulthandler
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mien._version import __version__
from mien.build import build_pipeline
from mien.config import Settings
from mien.errors import MethodNotAllowedError, MienError, NotFoundError
from mien.http.exchange import ExchangeMiddleware, exchange_of
from mien.http.problems import INTERNAL, code_of, problem_response
from mien.http.routes.documentation import documentation_routes
from mien.http.routes.emotion import emotion_routes
from mien.http.routes.system import system_routes
from mien.http.service import Service
from mien.http.signals import noticing_shutdown
from mien.pipeline import Pipeline

__all__ = ["create_app"]

# After what is not done was given up, for its threads to notice.
_SPARE_S = 5

_DESCRIPTION = (
    "Reads emotions off the faces in a photo. What a face shows is an expression; "
    "it is not what the person feels."
)


def create_app(
    settings: Settings, *, build: Callable[[Settings], Pipeline] = build_pipeline
) -> FastAPI:
    """Return the service as an ASGI application; models are loaded when its lifespan begins.

    build: makes the pipeline; whatever it raises ends the start-up.
    """
    service = Service(settings, build)
    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=_lifespan_of(service),
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_middleware(ExchangeMiddleware, leaving=lambda: service.draining)
    app.add_exception_handler(MienError, _on_error)
    app.add_exception_handler(HTTPException, _on_routing)
    app.include_router(emotion_routes(service))
    app.include_router(system_routes(service))
    app.include_router(documentation_routes(app))
    return app


def _lifespan_of(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    settings = service.settings

    def leave() -> None:
        service.drain()
        # For work that notices no deadline: ends the process and says where it was stuck.
        patience_s = settings.drain_s + _SPARE_S
        faulthandler.dump_traceback_later(patience_s, exit=True, file=sys.__stderr__ or sys.stderr)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(service.start)
            with noticing_shutdown(leave, delay_s=settings.stop_delay_s):
                yield
        finally:
            await asyncio.to_thread(service.close)
            faulthandler.cancel_dump_traceback_later()

    return lifespan


async def _on_error(request: Request, error: Exception) -> Response:
    if code_of(error) == INTERNAL:
        # Not the caller's to know: the outermost net writes it to the log.
        raise error
    return problem_response(error, exchange_of(request).request_id)


async def _on_routing(request: Request, error: Exception) -> Response:
    """Answer what the router found wrong; its only words are a status and the Allow header."""
    request_id = exchange_of(request).request_id
    match error:
        case HTTPException(status_code=404):
            nothing = NotFoundError("there is nothing at this path; see /docs")
            return problem_response(nothing, request_id)
        case HTTPException(status_code=405, headers={"Allow": allow}):
            wrong = MethodNotAllowedError(f"this path takes {allow}")
            return problem_response(wrong, request_id, {"Allow": allow})
    # Nothing here raises any other; should a later release of the framework, the log will tell.
    raise error
