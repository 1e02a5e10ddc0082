"""Errors as RFC 9457 problems: the one table from code to status, and how they are written."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from starlette.responses import Response

from mien.errors import MienError, RequestError

__all__ = ["INTERNAL", "PROBLEMS", "Problem", "code_of", "detail_of", "problem_response"]

INTERNAL = "internal_error"


class Problem(NamedTuple):
    """What a code means to callers; ``example``: a detail as it may read."""

    status: int
    title: str
    example: str


PROBLEMS: Mapping[str, Problem] = {
    "empty_upload": Problem(400, "Empty upload", "the picture is empty: it has no bytes"),
    "unreadable_video": Problem(400, "Unreadable video", "the clip is cut off or corrupt"),
    "not_an_image": Problem(400, "Not an image", "this is not a picture; send JPEG, PNG or WebP"),
    "truncated_image": Problem(400, "Truncated image", "this JPEG picture is cut off or corrupt"),
    "unsupported_format": Problem(
        400, "Unsupported format", "GIF pictures are not read; send JPEG, PNG or WebP"
    ),
    "malformed_request": Problem(
        400, "Malformed request", "this is not HTTP/1.1, or its head is too long"
    ),
    "unauthorized": Problem(
        401, "Unauthorized", "send an API key as Authorization: Bearer KEY, or X-API-Key"
    ),
    "forbidden_origin": Problem(
        403, "Forbidden origin", "pages of this site may not call this service"
    ),
    "not_found": Problem(404, "Not found", "there is nothing at this path; see /docs"),
    "method_not_allowed": Problem(405, "Method not allowed", "this path takes POST"),
    "upload_timeout": Problem(408, "Upload timeout", "the body did not arrive within 30 seconds"),
    "upload_too_large": Problem(
        413, "Upload too large", "the body is larger than the limit of 20,000,000 bytes"
    ),
    "image_too_large": Problem(
        413, "Image too large", "9000 x 9000 pixels are more than the limit of 50,000,000"
    ),
    "video_too_large": Problem(
        413, "Video too large", "the clip is longer than the limit of 300 seconds"
    ),
    "unsupported_media_type": Problem(
        415, "Unsupported media type", "send multipart/form-data, or a picture as image/jpeg"
    ),
    "invalid_parameter": Problem(
        422, "Invalid parameter", "max_faces must be a whole number from 1 to 1000000, not '0'"
    ),
    "missing_image": Problem(422, "Missing image", "the form has no file in its field image"),
    "missing_video": Problem(422, "Missing video", "the form has no file in its field video"),
    "too_many_images": Problem(
        422, "Too many images", "send at most one picture in the field image"
    ),
    "queue_full": Problem(
        429, "Queue full", "too many pictures are waiting; try again in a moment"
    ),
    "rate_limited": Problem(429, "Rate limited", "too many requests; try again in a moment"),
    INTERNAL: Problem(
        500,
        "Internal error",
        "something went wrong on the server; its log knows this request by its id",
    ),
    "video_unavailable": Problem(501, "Video unavailable", "clips need: pip install 'mien[video]'"),
    "not_ready": Problem(503, "Not ready", "the service is warming up or shutting down"),
    "deadline_exceeded": Problem(
        504, "Deadline exceeded", "the answer was not ready in time; try again later"
    ),
}

_RETRY = frozenset({"queue_full", "rate_limited", "not_ready"})


def code_of(error: BaseException) -> str:
    """Return the code that callers see; ``internal_error`` for all that is not theirs to fix."""
    code = error.code if isinstance(error, MienError) else INTERNAL
    return code if code in PROBLEMS else INTERNAL


def detail_of(error: BaseException) -> str:
    """Return the sentence that callers see; never a library's own words."""
    if isinstance(error, MienError) and code_of(error) != INTERNAL:
        return error.message
    return PROBLEMS[INTERNAL].example


def problem_response(
    error: BaseException, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the error as ``application/problem+json``; headers: further ones to send."""
    code = code_of(error)
    problem = PROBLEMS[code]
    body = {
        "type": f"/docs#{code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail_of(error),
        "code": code,
        "instance": f"urn:mien:request:{request_id}",
    }
    sent = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if code in _RETRY:
        seconds = error.retry_after_s if isinstance(error, RequestError) else 1.0
        sent["Retry-After"] = str(max(math.ceil(seconds), 1))
    return Response(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        status_code=problem.status,
        headers=sent,
        media_type="application/problem+json",
    )
