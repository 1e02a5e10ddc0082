"""Dependencies of routers and handlers."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection

from mien.errors import InvalidParameterError
from mien.server.body import BodyLimits, read_files
from mien.server.context import RequestContext, context_of
from mien.server.errors import NotReadyError
from mien.server.multipart import IMAGE, VIDEO, quoted
from mien.server.parameters import EmotionQuery, NoQuery, VideoQuery
from mien.server.service import Service

__all__ = [
    "GUARDED",
    "OPEN",
    "SECURITY",
    "Context",
    "TheService",
    "UploadedImage",
    "UploadedImages",
    "UploadedVideo",
    "admit",
    "authorize",
    "emotion_query",
    "no_repeated_parameters",
    "video_query",
]


# Async, although they wait for nothing: FastAPI would run plain functions in threads.
async def _service(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


async def _context(connection: HTTPConnection) -> RequestContext:
    return context_of(connection)


TheService = Annotated[Service, Depends(_service)]
Context = Annotated[RequestContext, Depends(_context)]


async def authorize(connection: HTTPConnection, service: TheService) -> None:
    """Check the API key, then the rate limit. Raises UnauthorizedError or RateLimitedError."""
    await service.rates.check(connection, service.keys.check(connection))


async def admit(service: TheService) -> None:
    """Raise NotReadyError or QueueFullError before the body is read."""
    if not service.started:
        raise NotReadyError("the service is starting; try again in a moment")
    service.pool.check_room()


async def no_repeated_parameters(connection: HTTPConnection) -> None:
    """Refuse repeated query parameters, of which FastAPI would take the last one."""
    seen = set()
    for name, _ in connection.query_params.multi_items():
        if name in seen and name != "include":
            raise InvalidParameterError(f"{quoted(name)} may be given only once")
        seen.add(name)


async def _no_query(_: Annotated[NoQuery, Query()]) -> None:
    """Refuse query parameters."""


async def emotion_query(query: Annotated[EmotionQuery, Query()]) -> Any:
    """Return the validated query. As a dependency of the upload, it is checked before the body."""
    return query


async def video_query(query: Annotated[VideoQuery, Query()]) -> VideoQuery:
    """Return the validated query of a video."""
    return query


async def _uploaded_image(
    request: Request, service: TheService, _: Annotated[Any, Depends(emotion_query)]
) -> AsyncIterator[bytes]:
    settings = service.settings
    limits = BodyLimits(1, settings.max_upload_bytes, settings.upload_timeout_s)
    with service.holding_bytes() as hold:
        (image,) = await read_files(request, IMAGE, limits, hold)
        yield image


async def _uploaded_images(
    request: Request, service: TheService, _: Annotated[Any, Depends(emotion_query)]
) -> AsyncIterator[list[bytes]]:
    settings = service.settings
    limits = BodyLimits(
        settings.max_batch_images, settings.max_upload_bytes, settings.upload_timeout_s
    )
    with service.holding_bytes() as hold:
        yield await read_files(request, IMAGE, limits, hold, form_only=True)


async def _uploaded_video(
    request: Request, service: TheService, _: Annotated[Any, Depends(video_query)]
) -> AsyncIterator[bytes]:
    settings = service.settings
    size = min(settings.max_video_bytes, settings.max_pending_bytes)
    # Scale the timeout with the size limit.
    timeout_s = settings.upload_timeout_s * max(1.0, size / settings.max_upload_bytes)
    service.check_videos()
    # Both are held until the last line has been sent.
    with service.videos.one(), service.holding_bytes() as hold:
        (video,) = await read_files(request, VIDEO, BodyLimits(1, size, timeout_s), hold)
        yield video


# Bytes are held until the handler returns; those of a video, until its response has been sent.
UploadedImage = Annotated[bytes, Depends(_uploaded_image, scope="function")]
UploadedImages = Annotated[list[bytes], Depends(_uploaded_images, scope="function")]
UploadedVideo = Annotated[bytes, Depends(_uploaded_video, scope="request")]

# For routers: an endpoint cannot forget them. GUARDED_PROBLEMS are the codes of their errors.
GUARDED = [Depends(authorize), Depends(no_repeated_parameters), Depends(admit)]
GUARDED_PROBLEMS = ("unauthorized", "rate_limited", "not_ready", "queue_full")
OPEN = [Depends(no_repeated_parameters), Depends(_no_query)]
# Where keys are configured, for the OpenAPI document; ``authorize`` checks them.
SECURITY = [
    Depends(HTTPBearer(auto_error=False)),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
]
