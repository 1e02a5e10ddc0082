"""The shapes of answers, as JSON Schema: documentation that the tests hold the answers to."""

from typing import Any

from mien.http.problems import PROBLEMS
from mien.types import Emotion

__all__ = ["SCHEMAS", "reference"]

_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_PIXELS = {"type": "integer", "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


def reference(name: str) -> dict[str, str]:
    """Return a reference to the shape of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(
    properties: dict[str, Any], required: tuple[str, ...] | None = None, **more: Any
) -> dict[str, Any]:
    wanted = list(properties) if required is None else list(required)
    return {
        "type": "object",
        "properties": properties,
        "required": wanted,
        "additionalProperties": False,
        **more,
    }


_FACE = _object(
    {
        "bounding_box": {
            "type": "array",
            "items": _PIXELS,
            "minItems": 4,
            "maxItems": 4,
            "description": "x, y, width, height in whole pixels of the upright picture.",
        },
        "emotion": {"type": "string", "enum": [emotion.value for emotion in Emotion]},
        "confidence": {
            **_PROBABILITY,
            "description": "Calibrated probability among the labels of the chosen set.",
        },
        "scores": {
            "type": "object",
            "additionalProperties": _PROBABILITY,
            "description": "With include=scores: every label of the set and its probability.",
        },
        "landmarks": {
            "type": ["array", "null"],
            "items": _POINT,
            "minItems": 5,
            "maxItems": 5,
            "description": "With include=landmarks: left eye, right eye, nose, left and right "
            "corner of the mouth; null where detection was skipped.",
        },
        "detection": {
            "type": ["number", "null"],
            "description": "With include=detection: the detector's own score; null where "
            "detection was skipped.",
        },
    },
    ("bounding_box", "emotion", "confidence"),
)

_PERSON = {"type": "integer", "minimum": 1, "description": "The same for the same person."}
_TRACKED = {
    **_FACE,
    "properties": {"person": _PERSON, **_FACE["properties"]},
    "required": ["person", *_FACE["required"]],
}
_SUMMARY = _object(
    {
        "samples": _PIXELS,
        "seconds": _SECONDS,
        "cut_off": {
            "type": "boolean",
            "description": "Whether the video is damaged or incomplete.",
        },
        "dropped_frames": {
            **_PIXELS,
            "description": "Frames that could not be decoded, that repeat a timestamp or that are "
            "out of order.",
        },
        "persons": {
            "type": "array",
            "items": _object(
                {
                    "person": _PERSON,
                    "from": _SECONDS,
                    "to": _SECONDS,
                    "seconds": {**_SECONDS, "description": "How long the person was seen."},
                    "emotions": {
                        "type": "object",
                        "additionalProperties": _PROBABILITY,
                        "description": "The part of that time that each was shown.",
                    },
                }
            ),
        },
    }
)

_ERROR = _object(
    {"code": {"type": "string", "enum": sorted(PROBLEMS)}, "message": {"type": "string"}}
)

SCHEMAS: dict[str, Any] = {
    "Face": _FACE,
    "Faces": {"type": "array", "items": reference("Face")},
    "BatchEntry": {
        "oneOf": [_object({"faces": reference("Faces")}), _object({"error": _ERROR})],
    },
    "VideoLine": {
        "oneOf": [
            _object(
                {
                    "time_s": {**_SECONDS, "description": "Since the first picture."},
                    "frame": {**_PIXELS, "description": "The picture's number, from 0."},
                    "size": {"type": "array", "items": _PIXELS, "minItems": 2, "maxItems": 2},
                    "faces": {"type": "array", "items": _TRACKED},
                }
            ),
            _object({"summary": _SUMMARY}),
            _object({"error": _ERROR}),
        ],
    },
    "Problem": _object(
        {
            "type": {"type": "string", "description": "Where the code is explained."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "For people; it may change."},
            "code": {
                "type": "string",
                "enum": sorted(PROBLEMS),
                "description": "For programs; it is stable.",
            },
            "instance": {"type": "string", "description": "Names this request in the log."},
        },
        description="An error after RFC 9457.",
    ),
    "Status": _object({"status": {"type": "string", "enum": ["alive", "ready"]}}),
    "Version": _object(
        {name: {"type": "string"} for name in ("name", "version", "detector", "model")}
    ),
}
