"""What FastAPI cannot generate of the OpenAPI document: bodies, headers and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from mien.server.responses import VideoLine

__all__ = ["BATCH_BODY", "IMAGE_BODY", "LINES_TYPE", "VIDEO_BODY", "document_of"]

LINES_TYPE = "application/x-ndjson"

_FIRST_ERROR = 400
_TEXT = {"type": "string"}
_BINARY = {"type": "string", "format": "binary"}
_HEADERS = {
    "X-Request-ID": {
        "description": "Of the request if it was 1 to 64 of A-Z a-z 0-9 . _ -, or a new one.",
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


def _body(**content: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _file_body(name: str) -> dict[str, Any]:
    base64 = {**_TEXT, "description": f"The {name} in Base64, or as a data URI."}
    return _body(
        **{
            "multipart/form-data": _object(name, _BINARY),
            "application/json": _object(name, base64),
            "application/octet-stream": {"schema": _BINARY},
        }
    )


# The handlers read bodies themselves, within limits.
IMAGE_BODY = _file_body("image")
VIDEO_BODY = _file_body("video")
BATCH_BODY = _body(**{"multipart/form-data": _object("image", {"type": "array", "items": _BINARY})})


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
    """Add to a response what all have: headers, and the media type of problems."""
    response["headers"] = _HEADERS | (_RETRY_AFTER if status in (429, 503) else {})
    content = response["content"]
    if status >= _FIRST_ERROR:
        (problem,) = content.values()
        response["content"] = {"application/problem+json": problem}
    elif LINES_TYPE in content:
        response["description"] = "Lines of JSON, each a `VideoLine`."
