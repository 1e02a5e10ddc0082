"""The application: settings in, an ASGI app out."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mien import __version__
from mien.build import build_pipeline
from mien.config import Settings
from mien.http import problems
from mien.http.middleware import Envelope
from mien.http.routes import emotion, service
from mien.http.work import Workers
from mien.pipeline import Pipeline

__all__ = ["create_app"]

_logger = logging.getLogger("mien.http")

DESCRIPTION = "Reads emotions off the faces in a photo. Pictures are not kept."


def create_app(
    settings: Settings, *, build: Callable[[Settings], Pipeline] = build_pipeline
) -> FastAPI:
    """Return the service; models are loaded and warmed up when it starts.

    build: makes the pipeline; may raise ArtifactError, which ends the start.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        workers = Workers(build(settings), settings)
        app.state.workers = workers
        await workers.start()
        _logger.info("mien %s is ready on port %d", __version__, settings.port)
        try:
            yield
        finally:
            workers.stop()

    app = FastAPI(
        title="mien",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    problems.install(app)
    app.add_middleware(Envelope)
    app.include_router(emotion.router)
    app.include_router(service.router)
    return app
