"""A request's body, read under limits: so many bytes, so much time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from mien.config import Settings
from mien.errors import (
    UnsupportedMediaTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from mien.http.multipart import IMAGE, VIDEO, Field, FileForm, boundary_of

__all__ = [
    "CLIP_TYPES",
    "FORM_TYPE",
    "PICTURE_TYPES",
    "Upload",
    "one_clip",
    "one_picture",
    "pictures",
    "read_files",
]

FORM_TYPE = "multipart/form-data"
_ANY_TYPE = "application/octet-stream"
# What a file is, its bytes decide; other types are refused because they mean something else.
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", _ANY_TYPE)
CLIP_TYPES = (
    "video/mp4",
    "video/quicktime",
    "video/x-matroska",
    "video/matroska",
    "video/webm",
    "video/x-msvideo",
    _ANY_TYPE,
)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a route takes: files in a field of a form, or one file of these types as the body.

    max_bytes, timeout_s: of the whole body.
    """

    field: Field
    raw_types: tuple[str, ...]
    at_most: int
    max_bytes: int
    timeout_s: float


def one_picture(settings: Settings) -> Upload:
    """Return what takes a picture, as a form or as the body itself."""
    return Upload(IMAGE, PICTURE_TYPES, 1, settings.max_upload_bytes, settings.upload_timeout_s)


def pictures(settings: Settings) -> Upload:
    """Return what takes a form with several pictures."""
    at_most = settings.max_batch_images
    return Upload(IMAGE, (), at_most, settings.max_upload_bytes, settings.upload_timeout_s)


def one_clip(settings: Settings) -> Upload:
    """Return what takes a clip. It has more time by as much as it may have more bytes."""
    max_bytes = min(settings.max_video_bytes, settings.max_pending_bytes)
    timeout_s = settings.upload_timeout_s * max(1.0, max_bytes / settings.max_upload_bytes)
    return Upload(VIDEO, CLIP_TYPES, 1, max_bytes, timeout_s)


async def read_files(request: Request, upload: Upload, hold: Callable[[int], None]) -> list[bytes]:
    """Return the files of a form, or the one that is the body itself.

    hold: is called with the length of what arrived, before it is kept.
    Raises the errors of FileForm, UnsupportedMediaTypeError, UploadTooLargeError,
    UploadTimeoutError and what ``hold`` raises; ClientDisconnect if the caller has gone.
    """
    codings = ",".join(request.headers.getlist("content-encoding") or ["identity"])
    if any(coding.strip().lower() != "identity" for coding in codings.split(",")):
        # Pictures are compressed already; unpacking would need a limit of its own.
        raise UnsupportedMediaTypeError("send the body without Content-Encoding")
    header = request.headers.get("content-type", "")
    essence = header.partition(";")[0].strip().lower()
    if essence == FORM_TYPE:
        form = FileForm(boundary_of(header), upload.field, at_most=upload.at_most)
        await _receive(request, upload, hold, form.feed)
        return form.finish()
    if essence in upload.raw_types:
        body = bytearray()
        await _receive(request, upload, hold, body.extend)
        return [bytes(body)]
    types = ", ".join(upload.raw_types)
    also = f", or a {upload.field.noun} as {types}" if types else ""
    raise UnsupportedMediaTypeError(f"send {FORM_TYPE}{also}")


async def _receive(
    request: Request,
    upload: Upload,
    hold: Callable[[int], None],
    sink: Callable[[bytes], object],
) -> None:
    limit = upload.max_bytes
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and _exceeds(declared, limit):
        raise _too_large(limit)
    received = 0
    try:
        async with asyncio.timeout(upload.timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > limit:
                    raise _too_large(limit)
                hold(len(chunk))
                sink(chunk)
    except TimeoutError as error:
        raise UploadTimeoutError(
            f"the body did not arrive within {upload.timeout_s:g} seconds"
        ) from error


def _exceeds(digits: str, limit: int) -> bool:
    # Compared by length first: int() of thousands of digits is slow, and refused by Python.
    digits = digits.lstrip("0")
    return len(digits) > len(str(limit)) or int(digits or "0") > limit


def _too_large(limit: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"the body is larger than the limit of {limit:,} bytes")
