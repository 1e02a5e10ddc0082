"""The HTTP service as a deployment of Ray Serve: ``mien.cluster.serve:app``."""

import logging.config
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ray import serve
from ray.serve import Application

from mien.errors import InvalidParameterError
from mien.recognizer import Recognizer
from mien.server.app import create_app
from mien.server.logs import logging_config
from mien.server.service import Service
from mien.settings import Settings, load_settings

__all__ = ["Replica", "app", "deployed"]

_Event = MutableMapping[str, Any]
_Asgi = Callable[[_Event, Callable[..., Any], Callable[..., Any]], Awaitable[None]]

_MAX_REPLICAS = 8
# Mean number of running and queued images per replica above which Ray starts another replica.
_TARGET_REQUESTS = 2.0
# Extra requests per replica, so that probes and refusals (queue full) need not wait for a slot.
_SPARE_REQUESTS = 64
_HEALTH_PERIOD_S = 10.0
_HEALTH_TIMEOUT_S = 30.0


@serve.deployment(name="mien")
@serve.ingress()
class Replica:
    """A process that runs the whole service; Ray's proxy forwards requests to it."""

    def __init__(self, settings: Settings, build: Callable[[], Recognizer] | None) -> None:
        self._settings, self._build = settings, build
        self._service: Service | None = None

    def __serve_build_asgi_app__(self) -> _Asgi:
        """Return the application; Ray runs its lifespan, which loads the models."""
        logging.config.dictConfig(logging_config(self._settings.log_format))
        built = create_app(self._settings, build=self._build)
        self._service = built.state.service
        return _without_request_id(built)

    async def check_health(self) -> None:
        """Run the models once. Ray replaces a replica if this raises or hangs."""
        if self._service is not None and self._service.started:
            await self._service.check()


def _without_request_id(built: _Asgi) -> _Asgi:
    """Drop ``X-Request-ID``: Ray's proxy adds the same header to every response."""

    async def wrapped(scope: _Event, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        async def sending(message: _Event) -> None:
            if message["type"] == "http.response.start":
                named = [(n, v) for n, v in message["headers"] if n.lower() != b"x-request-id"]
                message = {**message, "headers": named}
            await send(message)

        await built(scope, receive, sending)

    return wrapped


def app(args: Mapping[str, Any]) -> Application:
    """Return the application for ``serve run mien.cluster.serve:app`` and a RayService.

    Args:
        args: Settings, such as ``max_pixels``, and ``min_replicas`` and ``max_replicas``. Values
            may be strings. Other settings come from the environment, as for ``mien serve``.

    Raises:
        InvalidParameterError: A setting is unknown or out of range.
    """
    given = dict(args)
    try:
        least = int(given.pop("min_replicas", 1))
        most = int(given.pop("max_replicas", max(least, _MAX_REPLICAS)))
    except (TypeError, ValueError) as error:
        raise InvalidParameterError("min_replicas and max_replicas are whole numbers") from error
    if not 1 <= least <= most:
        raise InvalidParameterError("min_replicas is at least 1 and at most max_replicas")
    return deployed(load_settings(**given), least, most)


def deployed(
    settings: Settings,
    min_replicas: int,
    max_replicas: int,
    *,
    build: Callable[[], Recognizer] | None = None,
) -> Application:
    """Return the service for ``serve.run``; by default a replica has one thread and one core.

    build: builds the recognizer; must be picklable. None: build it from the settings.
    """
    threads = settings.threads or 1
    # Ray has a process for each replica already.
    changes = {"threads": threads, "processes": False, "log_format": "json"}
    settings = settings.model_copy(update=changes)
    deployment: serve.Deployment = Replica  # type: ignore[assignment]
    options = _options(settings, min_replicas, max_replicas)
    return deployment.options(**options).bind(settings, build)


def _options(settings: Settings, least: int, most: int) -> dict[str, Any]:
    threads = settings.threads or 1
    return {
        "ray_actor_options": {"num_cpus": threads},
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": _TARGET_REQUESTS * threads,
        },
        # High enough that the service itself refuses excess requests, with its own errors.
        "max_ongoing_requests": threads + settings.max_queue + _SPARE_REQUESTS,
        "health_check_period_s": _HEALTH_PERIOD_S,
        "health_check_timeout_s": _HEALTH_TIMEOUT_S,
        # A stopping replica finishes the requests in progress.
        "graceful_shutdown_wait_loop_s": settings.stop_delay_s,
        "graceful_shutdown_timeout_s": settings.drain_s,
        # The service logs requests itself.
        "logging_config": {"enable_access_log": False},
    }
