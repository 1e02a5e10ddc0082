"""A request's body, read under limits: so many bytes, so much time."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request

from mien.config import Settings
from mien.errors import (
    UnsupportedMediaTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from mien.http.multipart import ImageForm, boundary_of

__all__ = ["FORM_TYPE", "RAW_TYPES", "read_images"]

FORM_TYPE = "multipart/form-data"
# What the picture is, its bytes decide; other types are refused because they mean something else.
RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")


async def read_images(
    request: Request,
    settings: Settings,
    hold: Callable[[int], None],
    *,
    max_images: int,
    raw: bool,
) -> list[bytes]:
    """Return the pictures of a form, or the one that is the body itself where ``raw`` allows it.

    hold: is called with the length of what arrived, before it is kept.
    Raises the errors of ImageForm, UnsupportedMediaTypeError, UploadTooLargeError,
    UploadTimeoutError and what ``hold`` raises; ClientDisconnect if the caller has gone.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        # Pictures are compressed already; unpacking would need a limit of its own.
        raise UnsupportedMediaTypeError("send the body without Content-Encoding")
    header = request.headers.get("content-type", "")
    essence = header.partition(";")[0].strip().lower()
    if essence == FORM_TYPE:
        form = ImageForm(boundary_of(header), max_images=max_images)
        await _receive(request, settings, hold, form.feed)
        return form.finish()
    if raw and essence in RAW_TYPES:
        body = bytearray()
        await _receive(request, settings, hold, body.extend)
        return [bytes(body)]
    also = f", or a picture as {', '.join(RAW_TYPES)}" if raw else ""
    raise UnsupportedMediaTypeError(f"send {FORM_TYPE}{also}")


async def _receive(
    request: Request,
    settings: Settings,
    hold: Callable[[int], None],
    sink: Callable[[bytes], object],
) -> None:
    limit = settings.max_upload_bytes
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and _exceeds(declared, limit):
        raise _too_large(limit)
    received = 0
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > limit:
                    raise _too_large(limit)
                hold(len(chunk))
                sink(chunk)
    except TimeoutError as error:
        raise UploadTimeoutError(
            f"the body did not arrive within {settings.upload_timeout_s:g} seconds"
        ) from error


def _exceeds(digits: str, limit: int) -> bool:
    # Compared by length first: int() of thousands of digits is slow, and refused by Python.
    digits = digits.lstrip("0")
    return len(digits) > len(str(limit)) or int(digits or "0") > limit


def _too_large(limit: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"the body is larger than the limit of {limit:,} bytes")
