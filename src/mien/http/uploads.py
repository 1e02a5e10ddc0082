"""Request bodies: counted as they arrive, parsed in memory, never trusted by name or header."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from mien.config import Settings
from mien.errors import (
    InvalidParameterError,
    MissingImageError,
    TooManyImagesError,
    UnsupportedMediaTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)

__all__ = ["FIELD", "RAW_TYPES", "read_images"]

FIELD = "image"
FORM_TYPE = "multipart/form-data"
# A raw body is sniffed like any file; the type only says that it is one.
RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
# Boundaries and part headers around the files.
FORM_OVERHEAD_BYTES = 64_000
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096


async def read_images(request: Request, settings: Settings, *, most: int) -> list[bytes]:
    """Return the pictures of a request, 1 to ``most``, each at most ``max_upload_bytes`` long.

    Raises UnsupportedMediaTypeError, MissingImageError, TooManyImagesError, UploadTooLargeError,
    UploadTimeoutError, or InvalidParameterError for a field that the route doesn't know.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    content_type = kind.decode("latin-1").lower()
    raw = content_type in RAW_TYPES
    if not raw and content_type != FORM_TYPE:
        raise UnsupportedMediaTypeError(
            f"Send a form ({FORM_TYPE}) with a file in the field {FIELD!r}, "
            f"or the picture itself as {', '.join(RAW_TYPES)}."
        )
    limit = settings.max_upload_bytes
    total = limit if raw else most * limit + FORM_OVERHEAD_BYTES
    body = _within(request, total, limit)
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            if raw:
                return [b"".join([chunk async for chunk in body])]
            form = _Form(options.get(b"boundary", b""), most, limit)
            async for chunk in body:
                form.feed(chunk)
    except TimeoutError as error:
        raise UploadTimeoutError(
            f"The upload did not finish within {settings.upload_timeout_s:g} seconds."
        ) from error
    return form.images()


async def _within(request: Request, total: int, limit: int) -> AsyncIterator[bytes]:
    """Yield the body's chunks while they stay below ``total`` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > total:
        raise _too_large(limit)
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > total:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"A picture may have at most {limit:,} bytes.")


@dataclass
class _Part:
    """One part of a form while it arrives."""

    disposition: bytes = b""
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """Collects the files of a multipart body; refuses what the contract does not know."""

    def __init__(self, boundary: bytes, most: int, limit: int) -> None:
        self._most, self._limit = most, limit
        self._images: list[bytes] = []
        self._part = _Part()
        self._header = (bytearray(), bytearray())
        self._is_complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._check_part,
                    "on_part_data": self._part_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
                max_header_count=MAX_PART_HEADERS,
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _broken_form() from error
        if not boundary:
            raise _broken_form()

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken_form() from error

    def images(self) -> list[bytes]:
        if not self._is_complete:
            raise _broken_form()
        if not self._images:
            raise MissingImageError(f"The form has no file in the field {FIELD!r}.")
        return self._images

    def _begin_part(self) -> None:
        self._part = _Part()

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            self._part.disposition = bytes(self._header[1])

    def _check_part(self) -> None:
        _, options = parse_options_header(self._part.disposition.decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD:
            raise InvalidParameterError(
                f"The form has an unknown field {name[:40]!r}; the picture goes into {FIELD!r}, "
                "options go into the query."
            )
        if b"filename" not in options:
            raise MissingImageError(
                f"The field {FIELD!r} holds text, not a file; with curl: -F {FIELD}=@photo.jpg"
            )
        if len(self._images) == self._most:
            raise TooManyImagesError(f"At most {self._most} picture(s) in one request.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._part.data += data[start:end]
        if len(self._part.data) > self._limit:
            raise _too_large(self._limit)

    def _end_part(self) -> None:
        self._images.append(bytes(self._part.data))

    def _end(self) -> None:
        self._is_complete = True


def _broken_form() -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError("The body is not a complete multipart form.")
