"""Dependencies of routers and handlers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection

from mien.errors import InvalidParameterError
from mien.server.body import read_files
from mien.server.context import RequestContext, context_of
from mien.server.errors import RequestError
from mien.server.multipart import IMAGE, VIDEO, quoted
from mien.server.parameters import NoQuery
from mien.server.service import Service

__all__ = [
    "GUARDED",
    "GUARDED_PROBLEMS",
    "IMAGE_UPLOAD_PROBLEMS",
    "OPEN",
    "SECURITY",
    "VIDEO_UPLOAD_PROBLEMS",
    "Context",
    "ImageUpload",
    "ImagesUpload",
    "TheService",
    "VideoUpload",
    "admit",
    "authorize",
    "no_repeated_parameters",
]

# Reads the body and returns its files. The handler calls it: FastAPI has checked the query by then.
Upload = Callable[[], Awaitable[list[bytes]]]


# Async, although they wait for nothing: FastAPI would run plain functions in threads.
async def _service(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


async def _context(connection: HTTPConnection) -> RequestContext:
    return context_of(connection)


TheService = Annotated[Service, Depends(_service)]
Context = Annotated[RequestContext, Depends(_context)]


async def authorize(connection: HTTPConnection, service: TheService, context: Context) -> None:
    """Check the API key, then the rate limit. Raises RequestError."""
    digest = service.keys.check(connection)
    context.key = digest and service.keys.name(digest)
    await service.rates.check(connection, digest)


async def admit(service: TheService) -> None:
    """Raise RequestError or QueueFullError before the body is read."""
    if not service.started:
        raise RequestError("not_ready")
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


def _image_files(
    request: Request, service: Service, hold: Callable[[int], None], **limits: Any
) -> Upload:
    settings = service.settings
    size, timeout_s = settings.max_upload_bytes, settings.upload_timeout_s
    return partial(read_files, request, IMAGE, hold, size=size, timeout_s=timeout_s, **limits)


async def _image_upload(request: Request, service: TheService) -> AsyncIterator[Upload]:
    with service.holding_bytes() as hold:
        yield _image_files(request, service, hold)


async def _images_upload(request: Request, service: TheService) -> AsyncIterator[Upload]:
    most = service.settings.max_batch_images
    with service.holding_bytes() as hold:
        yield _image_files(request, service, hold, at_most=most, form_only=True)


async def _video_upload(request: Request, service: TheService) -> AsyncIterator[Upload]:
    settings = service.settings
    size = min(settings.max_video_bytes, settings.max_pending_bytes)
    # Scale the timeout with the size limit.
    timeout_s = settings.upload_timeout_s * max(1.0, size / settings.max_upload_bytes)
    service.check_videos()
    # Both are held until the last line has been sent.
    with service.videos.one(), service.holding_bytes() as hold:
        yield partial(read_files, request, VIDEO, hold, size=size, timeout_s=timeout_s)


# Bytes are held until the handler returns; those of a video, until its response has been sent.
# The problems are the codes of their errors.
ImageUpload = Annotated[Upload, Depends(_image_upload, scope="function")]
ImagesUpload = Annotated[Upload, Depends(_images_upload, scope="function")]
VideoUpload = Annotated[Upload, Depends(_video_upload, scope="request")]
_UPLOAD_PROBLEMS = ("queue_full", "unsupported_media_type", "upload_timeout", "upload_too_large")
IMAGE_UPLOAD_PROBLEMS = (*_UPLOAD_PROBLEMS, "missing_image", "too_many_images")
VIDEO_UPLOAD_PROBLEMS = (*_UPLOAD_PROBLEMS, "missing_video", "video_unavailable")

# For routers: an endpoint cannot forget them. GUARDED_PROBLEMS are the codes of their errors.
GUARDED = [Depends(authorize), Depends(no_repeated_parameters), Depends(admit)]
GUARDED_PROBLEMS = ("unauthorized", "rate_limited", "not_ready", "queue_full")
OPEN = [Depends(no_repeated_parameters), Depends(_no_query)]
# Where keys are configured, for the OpenAPI document; ``authorize`` checks them.
SECURITY = [
    Depends(HTTPBearer(auto_error=False)),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
]
