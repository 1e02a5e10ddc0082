"""What each endpoint takes and gives, in the words of OpenAPI; used by the routes themselves."""

import json
from typing import Any

from starlette.responses import Response

from mien.classify.labels import LabelSet
from mien.detect import MIN_FACE_SIZE_PX
from mien.http.multipart import IMAGE, Field
from mien.http.multipart import VIDEO as CLIP
from mien.http.parameters import MAX_NUMBER
from mien.http.problems import PROBLEMS
from mien.http.schemas import reference
from mien.http.upload import CLIP_TYPES, FORM_TYPE, PICTURE_TYPES
from mien.options import Include
from mien.video.analysis import DETECT_EVERY, PER_SECOND

__all__ = [
    "BATCH",
    "DETECT_EVERY_RANGE",
    "EMOTION",
    "FPS_RANGE",
    "LINES_TYPE",
    "LIVEZ",
    "READYZ",
    "SECURITY_SCHEMES",
    "VERSION",
    "VIDEO",
]

LINES_TYPE = "application/x-ndjson"
# Between two samples there is so little of a clip that it can be decoded in time.
FPS_RANGE = (0.5, 30.0)
DETECT_EVERY_RANGE = (1, 60)

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
    "not_ready",
    "queue_full",
    "rate_limited",
    "unauthorized",
    "unsupported_media_type",
    "upload_too_large",
)
_FORM = ("missing_image", "too_many_images")
_VIDEO = (
    "deadline_exceeded",
    "empty_upload",
    "missing_video",
    "unreadable_video",
    "video_too_large",
    "video_unavailable",
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


def _form(field: Field, files: dict[str, Any]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {field.name: files},
        "required": [field.name],
        "additionalProperties": False,
    }
    return {"schema": schema}


def _file(field: Field, raw_types: tuple[str, ...]) -> dict[str, Any]:
    return {FORM_TYPE: _form(field, _BINARY)} | {t: {"schema": _BINARY} for t in raw_types}


def _endpoint(responses: dict[int | str, dict[str, Any]], **extra: Any) -> dict[str, Any]:
    return {"response_class": Response, "responses": responses, "openapi_extra": extra}


# Whether a key is needed is the service's own matter.
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"apiKey": []}]
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


EMOTION = _endpoint(
    _responses(_success("Faces", [_FACE_EXAMPLE]), *_EVERYWHERE, *_UPLOAD, *_FORM, *_PICTURE),
    parameters=_PARAMETERS,
    security=_SECURITY,
    requestBody={
        "required": True,
        "content": _file(IMAGE, PICTURE_TYPES),
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
        *_FORM,
    ),
    parameters=_PARAMETERS,
    security=_SECURITY,
    requestBody={
        "required": True,
        "content": {FORM_TYPE: _form(IMAGE, {"type": "array", "items": _BINARY})},
    },
)

_LINE_EXAMPLES = (
    {"time_s": 0.0, "frame": 0, "size": [1280, 720], "faces": [{"person": 1, **_FACE_EXAMPLE}]},
    {
        "summary": {
            "samples": 1,
            "seconds": 0.1,
            "cut_off": False,
            "dropped_frames": 0,
            "persons": [
                {"person": 1, "from": 0.0, "to": 0.1, "seconds": 0.1, "emotions": {"happy": 1.0}}
            ],
        }
    },
)

VIDEO = _endpoint(
    _responses(
        {
            "description": "Lines of JSON, each a `VideoLine`: one for each sample as soon as it "
            "is read, then the summary, or an error if it has to end before.",
            "headers": _HEADERS,
            "content": {
                LINES_TYPE: {
                    "schema": {"type": "string"},
                    "example": "".join(json.dumps(line) + "\n" for line in _LINE_EXAMPLES),
                }
            },
        },
        *_EVERYWHERE,
        *_UPLOAD,
        *_VIDEO,
    ),
    parameters=[
        *_PARAMETERS,
        _parameter(
            "fps",
            "Samples a second.",
            {
                "type": "number",
                "minimum": FPS_RANGE[0],
                "maximum": FPS_RANGE[1],
                "default": PER_SECOND,
            },
        ),
        _parameter(
            "detect_every",
            "Look for new faces in every n-th sample, and between only where faces were.",
            {
                "type": "integer",
                "minimum": DETECT_EVERY_RANGE[0],
                "maximum": DETECT_EVERY_RANGE[1],
                "default": DETECT_EVERY,
            },
        ),
        _parameter(
            "smooth",
            "Whether what a person shows is smoothed over time. Only true or false.",
            {"type": "boolean", "default": True},
        ),
    ],
    security=_SECURITY,
    requestBody={
        "required": True,
        "content": _file(CLIP, CLIP_TYPES),
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
