"""What OpenAPI says about the picture routes: bodies, parameters, answers, problems."""

from collections.abc import Iterable, Mapping
from typing import Any

from mien.classify.labels import LabelSet
from mien.http.parameters import MIN_FACE_SIZE_PX
from mien.http.problems import PROBLEM_TYPE, STATUSES
from mien.http.uploads import FIELD, RAW_TYPES
from mien.render.json import Include
from mien.types import Emotion

__all__ = ["BATCH", "EMOTION"]

_FILE = {"type": "string", "format": "binary"}
_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}

_FACE: dict[str, Any] = {
    "type": "object",
    "required": ["bounding_box", "emotion", "confidence"],
    "additionalProperties": False,
    "properties": {
        "bounding_box": {
            "description": "x, y, width, height in whole pixels of the upright picture",
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "minItems": 4,
            "maxItems": 4,
        },
        "emotion": {"type": "string", "enum": [emotion.value for emotion in Emotion]},
        "confidence": {**_PROBABILITY, "description": "calibrated probability of the emotion"},
        "scores": {
            "description": "with include=scores: every label of the set",
            "type": "object",
            "additionalProperties": _PROBABILITY,
        },
        "landmarks": {
            "description": "with include=landmarks: eyes, nose, corners of the mouth; null for a "
            "cropped face",
            "type": ["array", "null"],
            "items": _POINT,
        },
        "detection": {
            "description": "with include=detection: the detector's score; null for a cropped face",
            "type": ["number", "null"],
        },
    },
}
_FACES = {"type": "array", "items": _FACE}
_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
_EXAMPLE = [{"bounding_box": [120, 85, 90, 90], "emotion": "happy", "confidence": 0.94}]


def _parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_PARAMETERS = [
    _parameter(
        "include",
        "Extra keys per face; a comma list, or given several times.",
        type="array",
        items={"type": "string", "enum": [item.value for item in Include]},
    ),
    _parameter(
        "labels",
        "How many emotions are told apart: seven adds disgust, eight contempt too.",
        type="string",
        enum=[item.value for item in LabelSet],
        default=LabelSet.SIX.value,
    ),
    _parameter("max_faces", "Keep only the largest faces.", type="integer", minimum=1),
    _parameter(
        "min_face_size",
        "Smallest face looked for, in pixels.",
        type="integer",
        minimum=MIN_FACE_SIZE_PX,
    ),
    _parameter(
        "crop", "The picture is one cropped face: skip detection.", type="boolean", default=False
    ),
]


def _form(image: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": [FIELD], "properties": {FIELD: image}}
    return {"multipart/form-data": {"schema": {**schema, "additionalProperties": False}}}


def _problems(codes: Iterable[str]) -> dict[str, Any]:
    """Return an answer per status, with the codes that it may carry."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUSES[code][0], []).append(code)
    return {
        str(status): {
            "description": ", ".join(names),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {
                        "type": "object",
                        "required": ["type", "title", "status", "detail", "code", "instance"],
                        "properties": {
                            **{
                                key: {"type": "string"}
                                for key in ("type", "title", "detail", "instance")
                            },
                            "status": {"type": "integer", "const": status},
                            "code": {"type": "string", "enum": names},
                        },
                    }
                }
            },
        }
        for status, names in sorted(by_status.items())
    }


def _operation(body: dict[str, Any], schema: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {
        "parameters": _PARAMETERS,
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {
                "description": "The faces, largest first; an empty list where there is none.",
                "content": {"application/json": {"schema": schema, **extra}},
            },
            **_problems(code for code in STATUSES if code not in {"not_found"}),
        },
    }


EMOTION = _operation(
    {**_form(_FILE), **{kind: {"schema": _FILE} for kind in RAW_TYPES}}, _FACES, example=_EXAMPLE
)
BATCH = _operation(
    _form({"type": "array", "items": _FILE, "minItems": 1}),
    {
        "type": "array",
        "items": {
            "oneOf": [
                {"type": "object", "required": ["faces"], "properties": {"faces": _FACES}},
                {"type": "object", "required": ["error"], "properties": {"error": _ERROR}},
            ]
        },
    },
)
