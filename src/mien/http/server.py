"""Running the service: uvicorn, one process or several."""

import logging
import os
import signal
import socket
import sys
from dataclasses import fields

import uvicorn
from fastapi import FastAPI

from mien.build import build_pipeline
from mien.config import PREFIX, Settings
from mien.http.app import create_app

__all__ = ["create_worker_app", "serve"]


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; return 0, or 1 if the address cannot be had.

    Raises ArtifactError or InvalidParameterError if the models cannot be loaded.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Built before anything listens, so that a wrong model is an error of the start. Workers load
    # the models again, each for itself: sessions do not survive a fork.
    pipeline = build_pipeline(settings)
    taken = _address_error(settings)
    if taken:
        print(f"mien: {taken}", file=sys.stderr)  # noqa: T201
        return 1
    if settings.workers > 1:
        os.environ.update(_as_environment(settings))
        target: str | FastAPI = "mien.http.server:create_worker_app"
    else:
        target = create_app(settings, build=lambda _: pipeline)
    # uvicorn finishes what is in flight, then raises the signal anew: being asked to stop is no
    # failure, so that one is ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.run(
        target,
        factory=isinstance(target, str),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.drain_s),
    )
    return 0


def create_worker_app() -> FastAPI:
    """Return the service with the settings of the environment, in a process of several."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return create_app(Settings.from_environment())


def _as_environment(settings: Settings) -> dict[str, str]:
    """Return the settings as the variables that a worker process reads them from."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {f"{PREFIX}{name.upper()}": "" if v is None else str(v) for name, v in values.items()}


def _address_error(settings: Settings) -> str | None:
    """Return what is wrong with the address, None if it can be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
    return None
