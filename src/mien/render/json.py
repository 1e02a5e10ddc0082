"""Results as the JSON of the contract; the same records over HTTP and on the command line."""

from enum import StrEnum
from typing import Any

from mien.types import FaceEmotion, ImageResult, Landmarks

__all__ = ["Include", "error_record", "face_record", "face_records"]

# Four decimals: finer than any calibration can promise, and stable between runs.
_DECIMALS = 4


class Include(StrEnum):
    """Optional keys of a face record."""

    SCORES = "scores"
    LANDMARKS = "landmarks"
    DETECTION = "detection"


def face_records(
    result: ImageResult, include: frozenset[Include] = frozenset()
) -> list[dict[str, Any]]:
    """Return one record per face, in the result's order."""
    return [face_record(face, result.width, result.height, include) for face in result.faces]


def face_record(
    face: FaceEmotion, width: int, height: int, include: frozenset[Include] = frozenset()
) -> dict[str, Any]:
    """Return ``bounding_box``, ``emotion``, ``confidence`` and what ``include`` adds.

    width, height: pixels of the picture, so that the box stays inside it.
    """
    record: dict[str, Any] = {
        "bounding_box": list(face.box.to_pixels(width, height)),
        "emotion": face.emotion.value,
        "confidence": round(face.confidence, _DECIMALS),
    }
    if Include.SCORES in include:
        record["scores"] = {e.value: round(p, _DECIMALS) for e, p in face.scores.items()}
    if Include.LANDMARKS in include:
        record["landmarks"] = _points(face.landmarks)
    if Include.DETECTION in include:
        record["detection"] = None if face.detection is None else round(face.detection, _DECIMALS)
    return record


def error_record(code: str, message: str) -> dict[str, Any]:
    """Return ``{"code", "message"}``: what stands in for faces where a picture failed."""
    return {"code": code, "message": message}


def _points(landmarks: Landmarks | None) -> list[list[float]] | None:
    if landmarks is None:
        return None
    return [[round(float(x), 2), round(float(y), 2)] for x, y in landmarks.to_array()]
