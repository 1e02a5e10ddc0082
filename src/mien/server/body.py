"""The body of a request, read within limits of size and time."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from mien.errors import InvalidParameterError
from mien.server.errors import RequestError
from mien.server.multipart import FileField, FileForm, boundary_of, from_base64, quoted

__all__ = ["read_files", "unless_disconnected"]

_Result = TypeVar("_Result")

_FORM = "multipart/form-data"
_JSON = "application/json"
# Around the Base64 text: the key, and the type of a data URI.
_JSON_BYTES = 1000
# How a JSON body starts, after an optional byte order mark; UTF-16 has zeros between characters.
# Without an explicit type, browsers and curl label JSON as text or as a form. No image starts so.
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*\{[\s\0]*\"")
# Parsing takes time and memory for each of these. The body of one file has two or three of them.
_STRUCTURE, _MOST_STRUCTURE = (b"{", b"[", b","), 100
# What a data URI may escape in Base64: characters with a meaning in URIs, and white space.
_ESCAPED = {"%2B": "+", "%2F": "/", "%3D": "=", "%20": " ", "%0A": "\n", "%0D": "\r"}
_DATA_URI = re.compile(r"data:[^,]*?;\s*base64\s*,", re.IGNORECASE)


async def read_files(
    request: Request,
    field: FileField,
    hold: Callable[[int], None],
    *,
    size: int,
    timeout_s: float,
    at_most: int = 1,
    form_only: bool = False,
) -> list[bytes]:
    """Return the files in a body.

    A form is recognized by its content type, JSON also by its first bytes. Any other body is one
    file, whose bytes decide its format; the content type is ignored.

    Args:
        request: The request.
        field: The field of a form, or the key of JSON, that holds the file.
        hold: Called with the number of bytes of each piece before it is kept.
        size: Largest body in bytes; of a JSON body, largest decoded file.
        timeout_s: For the whole body to arrive.
        at_most: Number of files of a form.
        form_only: Refuse everything but a form.

    Raises:
        InvalidParameterError: The form or JSON is malformed or has other fields.
        RequestError: The body is too large, too slow, or has too many files or none.
        ClientDisconnect: The client has disconnected.
    """
    codings = ",".join(request.headers.getlist("content-encoding") or ["identity"])
    if any(coding.strip().lower() != "identity" for coding in codings.split(",")):
        # Images are compressed already, and decompressing would need another limit.
        raise RequestError(
            "unsupported_media_type", f"send the body without Content-Encoding, not {codings!r}"
        )
    receive = partial(_receive, request, hold=hold, size=size, timeout_s=timeout_s)
    header = request.headers.get("content-type", "")
    media_type = header.partition(";")[0].strip().lower()
    # Other kinds of multipart body have the same parts.
    if media_type.startswith("multipart/"):
        form = FileForm(boundary_of(header), field, at_most=at_most)
        await receive(form.feed)
        return form.finish()
    if form_only:
        raise RequestError(
            "unsupported_media_type", f"send {_FORM} with files in the field {field.name}"
        )
    body = bytearray()
    is_json = media_type == _JSON or media_type.endswith("+json")
    # Base64 makes four bytes of three.
    await receive(body.extend, longest=size * 4 // 3 + _JSON_BYTES if is_json else size)
    declared = is_json and bytes(body.lstrip()[:1]) in (b"{", b"[", b'"')
    file = _decoded(bytes(body), field) if declared or _JSON_START.match(body) else bytes(body)
    if len(file) > size:
        raise _too_large(size)
    return [file]


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what ``work`` returns; the request's body must have been read.

    Raises ClientDisconnect, and cancels ``work``, as soon as the client has disconnected.
    """
    working = asyncio.ensure_future(work)
    # After the body, the only further message is that the connection has ended.
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        leaving.cancel()
        working.cancel()
        # Its resources must not be freed before it has ended.
        await asyncio.wait((leaving, working))


def _decoded(body: bytes, field: FileField) -> bytes:
    """Return the file of a JSON body. For any content, the time is proportional to the length."""
    allowed = f'send {{"{field.name}": "Base64 or a data URI"}}'
    if sum(map(body.count, _STRUCTURE)) > _MOST_STRUCTURE:
        raise InvalidParameterError(f"the JSON body has too many values; {allowed}")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"the body is not valid JSON; {allowed}") from error
    text = content.get(field.name) if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise RequestError(field.missing, f"the JSON body has no text {field.name!r}; {allowed}")
    if len(content) > 1:
        other = next(key for key in content if key != field.name)
        raise InvalidParameterError(
            f"the JSON body has a key {quoted(other)}; {allowed}; options belong in the query "
            "string"
        )
    text = text.lstrip()
    if text[:5].lower() == "data:":
        prefix = _DATA_URI.match(text)
        if prefix is None:
            raise InvalidParameterError(f"the data URI is not Base64; {allowed}")
        text = _unescaped(text[prefix.end() :])
    try:
        return from_base64(text.encode("ascii"))
    except ValueError as error:
        raise InvalidParameterError(f"{field.name} is not valid Base64; {allowed}") from error


def _unescaped(text: str) -> str:
    """Return Base64 without URI escapes; escapes that Base64 does not need are refused later."""
    for escape, character in _ESCAPED.items():
        text = text.replace(escape, character).replace(escape.lower(), character)
    return text


async def _receive(
    request: Request,
    sink: Callable[[bytes], object],
    *,
    hold: Callable[[int], None],
    size: int,
    timeout_s: float,
    longest: int | None = None,
) -> None:
    """Pass a body on piece by piece. ``longest``: bytes to accept if more than ``size``."""
    longest = longest or size
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and _exceeds(declared, longest):
        raise _too_large(size)
    received = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > longest:
                    raise _too_large(size)
                hold(len(chunk))
                sink(chunk)
    except TimeoutError as error:
        raise RequestError(
            "upload_timeout", f"the body did not arrive within {timeout_s:g} seconds"
        ) from error


def _exceeds(digits: str, limit: int) -> bool:
    # Compared by length first: int() of thousands of digits is slow, and refused by Python.
    digits = digits.lstrip("0")
    return len(digits) > len(str(limit)) or int(digits or "0") > limit


def _too_large(limit: int) -> RequestError:
    return RequestError("upload_too_large", f"the body is larger than the limit of {limit:,} bytes")
