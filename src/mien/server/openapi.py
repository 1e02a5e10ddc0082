"""The parts of the OpenAPI document that FastAPI cannot generate: bodies, headers and problems."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from mien.server.responses import VideoLine

__all__ = ["BATCH_BODY", "IMAGE_BODY", "LINES_TYPE", "VIDEO_BODY", "body_fields", "document_of"]

LINES_TYPE = "application/x-ndjson"
_FORM_TYPE = "multipart/form-data"

_FIRST_ERROR = 400
_TEXT = {"type": "string"}
_BINARY = {"type": "string", "format": "binary"}
_HEADERS = {
    "X-Request-ID": {
        "description": "The request's X-Request-ID if it has 1 to 64 characters of "
        "A-Z a-z 0-9 . _ -; otherwise the id of its trace, or a new id.",
        "schema": _TEXT,
    },
    "Server-Timing": {
        "description": "Milliseconds of decode, detect, classify and queue.",
        "schema": _TEXT,
    },
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def _object(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "properties": {name: schema},
            "required": [name],
            "additionalProperties": False,
        }
    }


def _body(description: str, **content: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "description": description, "content": content}}


def _file_body(name: str, formats: str, example: str) -> dict[str, Any]:
    file = {**_BINARY, "description": f"The {name} file: {formats}."}
    base64 = {
        **_TEXT,
        "description": f"The {name} file in Base64, or as a data URI.",
        "examples": [example],
    }
    return _body(
        f"The {name} in the field `{name}` of a form, as JSON, or the bytes of the file alone. "
        "Bytes may have any other content type, too.",
        **{
            _FORM_TYPE: _object(name, file),
            "application/json": _object(name, base64),
            "application/octet-stream": {"schema": file},
        },
    )


# The handlers read bodies themselves, within limits.
IMAGE_BODY = _file_body(
    "image",
    "JPEG, PNG, WebP, AVIF, GIF, BMP or, with mien[heic], HEIC",
    "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==",
)
VIDEO_BODY = _file_body(
    "video",
    "MP4, QuickTime, 3GP, Matroska, WebM, AVI, MPEG-TS, FLV or GIF",
    "data:video/mp4;base64,AAAAIGZ0eXBpc29t",
)
BATCH_BODY = _body(
    "A form with the images in several fields of the name `image`.",
    **{
        _FORM_TYPE: _object(
            "image",
            {
                "type": "array",
                "items": _BINARY,
                "description": "The image files, one field `image` for each. "
                "By default at most 16.",
            },
        )
    },
)


def body_fields(body: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield content type, name and schema of each field; a file alone has an empty name."""
    for kind, media in body["content"].items():
        for name, schema in media["schema"].get("properties", {"": media["schema"]}).items():
            yield kind, name, schema


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's OpenAPI document with additions that FastAPI cannot derive."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    # The lines of a video are one response, so no route has this schema.
    line = TypeAdapter(VideoLine).json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    schemas = document["components"]["schemas"]
    schemas |= {**line.pop("$defs"), "VideoLine": line}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                _complete(int(status), response)
    return document


def _complete(status: int, response: dict[str, Any]) -> None:
    """Add what all responses have: headers, and the media type of problems."""
    response["headers"] = _HEADERS | (_RETRY_AFTER if status in (429, 503) else {})
    content = response["content"]
    if status >= _FIRST_ERROR:
        (problem,) = content.values()
        response["content"] = {"application/problem+json": problem}
    elif LINES_TYPE in content:
        response["description"] = "Lines of JSON, each a `VideoLine`."
