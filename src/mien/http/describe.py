"""What each endpoint takes and gives, in the words of OpenAPI; used by the routes themselves."""

from typing import Any

from starlette.responses import Response

from mien.classify.labels import LabelSet
from mien.http.multipart import FIELD
from mien.http.parameters import MAX_NUMBER, MIN_FACE_SIZE_PX
from mien.http.problems import PROBLEMS
from mien.http.schemas import reference
from mien.http.upload import FORM_TYPE, RAW_TYPES
from mien.render.json import Include

__all__ = ["BATCH", "EMOTION", "LIVEZ", "READYZ", "SECURITY_SCHEMES", "VERSION"]

_HEADERS = {
    "X-Request-ID": {
        "description": "The caller's own, if it was 1 to 64 of A-Z a-z 0-9 . _ -, or a new one.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "Milliseconds of decode, detect, classify and queue.",
        "schema": {"type": "string"},
    },
}
_BINARY = {"type": "string", "format": "binary"}
_FACE_EXAMPLE = {"bounding_box": [120, 85, 90, 90], "emotion": "happy", "confidence": 0.94}
_EVERYWHERE = (
    "internal_error",
    "invalid_parameter",
    "malformed_request",
    "method_not_allowed",
    "upload_timeout",
)
_UPLOAD = (
    "missing_image",
    "not_ready",
    "queue_full",
    "rate_limited",
    "too_many_images",
    "unauthorized",
    "unsupported_media_type",
    "upload_too_large",
)
_PICTURE = (
    "deadline_exceeded",
    "empty_upload",
    "image_too_large",
    "not_an_image",
    "truncated_image",
    "unsupported_format",
)


def _parameter(name: str, description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


_PARAMETERS = [
    _parameter(
        "include",
        "Optional keys of each face; separated by commas, repeated, or both.",
        {"type": "array", "items": {"type": "string", "enum": [item.value for item in Include]}},
        style="form",
        explode=False,
        example=["scores", "landmarks"],
    ),
    _parameter(
        "labels",
        "Which emotions are told apart: seven adds disgust, eight adds contempt too.",
        {"type": "string", "enum": [item.value for item in LabelSet], "default": "six"},
    ),
    _parameter(
        "max_faces",
        "Keep only so many faces, the largest.",
        {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER},
    ),
    _parameter(
        "min_face_size",
        "The smallest face looked for, in pixels.",
        {"type": "integer", "minimum": MIN_FACE_SIZE_PX, "maximum": MAX_NUMBER},
    ),
    _parameter(
        "crop",
        "The picture is one cropped face: skip detection. Only true or false.",
        {"type": "boolean", "default": False},
    ),
]


def _success(schema: str | dict[str, Any], example: Any) -> dict[str, Any]:
    shape = reference(schema) if isinstance(schema, str) else schema
    return {
        "description": "Done.",
        "headers": _HEADERS,
        "content": {"application/json": {"schema": shape, "example": example}},
    }


def _problem(code: str) -> dict[str, Any]:
    status, title, detail = PROBLEMS[code]
    value = {
        "type": f"/docs#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": "urn:mien:request:5f2b8c1e",
    }
    return {"summary": title, "value": value}


def _responses(success: dict[str, Any], *codes: str) -> dict[int | str, dict[str, Any]]:
    answers: dict[int | str, dict[str, Any]] = {200: success}
    for status in sorted({PROBLEMS[code].status for code in codes}):
        same = sorted(code for code in codes if PROBLEMS[code].status == status)
        headers = dict(_HEADERS)
        if status in (429, 503):
            headers["Retry-After"] = {
                "description": "Seconds to wait.",
                "schema": {"type": "integer"},
            }
        answers[status] = {
            "description": ", ".join(same),
            "headers": headers,
            "content": {
                "application/problem+json": {
                    "schema": reference("Problem"),
                    "examples": {code: _problem(code) for code in same},
                }
            },
        }
    return answers


def _form(field: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {FIELD: field},
        "required": [FIELD],
        "additionalProperties": False,
    }
    return {"schema": schema}


def _endpoint(responses: dict[int | str, dict[str, Any]], **extra: Any) -> dict[str, Any]:
    return {"response_class": Response, "responses": responses, "openapi_extra": extra}


# Whether a key is needed is the service's own matter.
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"apiKey": []}]
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


EMOTION = _endpoint(
    _responses(_success("Faces", [_FACE_EXAMPLE]), *_EVERYWHERE, *_UPLOAD, *_PICTURE),
    parameters=_PARAMETERS,
    security=_SECURITY,
    requestBody={
        "required": True,
        "content": {FORM_TYPE: _form(_BINARY)} | {t: {"schema": _BINARY} for t in RAW_TYPES},
    },
)

BATCH = _endpoint(
    _responses(
        _success(
            {"type": "array", "items": reference("BatchEntry")},
            [
                {"faces": [_FACE_EXAMPLE]},
                {"error": {"code": "empty_upload", "message": PROBLEMS["empty_upload"].example}},
            ],
        ),
        *_EVERYWHERE,
        *_UPLOAD,
    ),
    parameters=_PARAMETERS,
    security=_SECURITY,
    requestBody={
        "required": True,
        "content": {FORM_TYPE: _form({"type": "array", "items": _BINARY})},
    },
)

LIVEZ = _endpoint(_responses(_success("Status", {"status": "alive"}), *_EVERYWHERE))

READYZ = _endpoint(_responses(_success("Status", {"status": "ready"}), *_EVERYWHERE, "not_ready"))

VERSION = _endpoint(
    _responses(
        _success(
            "Version",
            {"name": "mien", "version": "1.0.0", "detector": "mtcnn", "model": "emotion-lite0"},
        ),
        *_EVERYWHERE,
        "not_ready",
    )
)
