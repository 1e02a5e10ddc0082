"""Errors of requests, and how all errors are sent: as problems after RFC 9457."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from starlette.responses import JSONResponse, Response

from mien.errors import MienError

__all__ = [
    "INTERNAL",
    "PROBLEMS",
    "ProblemType",
    "RequestError",
    "code_of",
    "detail_of",
    "problem_response",
]

INTERNAL = "internal_error"


class RequestError(MienError):
    """The request failed for a reason other than the image.

    Attributes:
        code: One of ``PROBLEMS``, whose detail is the default message.
        retry_after_s: Seconds to wait before the next attempt.
    """

    def __init__(self, code: str, message: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message or PROBLEMS[code].detail)
        self.code = code
        self.retry_after_s = retry_after_s


class ProblemType(NamedTuple):
    """The status of a code, and its usual detail."""

    status: int
    detail: str


PROBLEMS: Mapping[str, ProblemType] = {
    "empty_upload": ProblemType(400, "the image is empty: it has no bytes"),
    "unreadable_video": ProblemType(400, "the video is cut off or corrupt"),
    "not_an_image": ProblemType(
        400, "this is not an image; expected JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"
    ),
    "truncated_image": ProblemType(400, "this JPEG is cut off or corrupt"),
    "unsupported_format": ProblemType(400, "TIFF is not supported; convert it to JPEG or PNG"),
    "malformed_request": ProblemType(400, "this is not HTTP/1.1, or its headers are too long"),
    "unauthorized": ProblemType(
        401, "send an API key as Authorization: Bearer KEY, or X-API-Key: KEY"
    ),
    "forbidden_origin": ProblemType(403, "pages of this origin may not call this service"),
    "not_found": ProblemType(404, "there is nothing at this path; see /docs"),
    "method_not_allowed": ProblemType(405, "this path supports POST"),
    "upload_timeout": ProblemType(408, "the body did not arrive within 30 seconds"),
    "upload_too_large": ProblemType(413, "the body is larger than the limit of 20,000,000 bytes"),
    "image_too_large": ProblemType(413, "9000 x 9000 pixels are more than the limit of 50,000,000"),
    "video_too_large": ProblemType(413, "the video is longer than the limit of 300 seconds"),
    "unsupported_media_type": ProblemType(415, "send the body without Content-Encoding"),
    "invalid_parameter": ProblemType(
        422, "max_faces: input should be greater than or equal to 1, not '0'"
    ),
    "missing_image": ProblemType(422, "the form has no file in its field image"),
    "missing_video": ProblemType(422, "the form has no file in its field video"),
    "too_many_images": ProblemType(422, "send at most one image in the field image"),
    "queue_full": ProblemType(429, "too many images are waiting; try again in a moment"),
    "rate_limited": ProblemType(429, "too many requests; try again in a moment"),
    INTERNAL: ProblemType(500, "the server failed; its log has the error under this request's id"),
    "video_unavailable": ProblemType(501, "videos need: pip install 'mien[video]'"),
    "not_ready": ProblemType(503, "the service is starting or shutting down"),
    "deadline_exceeded": ProblemType(504, "the result was not ready in time; try again later"),
}

_RETRY = frozenset({"queue_full", "rate_limited", "not_ready"})


def code_of(error: BaseException) -> str:
    """Return the code to send; ``internal_error`` for errors that ``PROBLEMS`` does not list."""
    code = error.code if isinstance(error, MienError) else INTERNAL
    return code if code in PROBLEMS else INTERNAL


def detail_of(error: BaseException) -> str:
    """Return the sentence to send; never the text of a library's error."""
    if isinstance(error, MienError) and code_of(error) != INTERNAL:
        return error.message
    return PROBLEMS[INTERNAL].detail


def problem_response(
    error: BaseException,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    root_path: str = "",
) -> Response:
    """Return the error as ``application/problem+json``, with further headers."""
    code = code_of(error)
    problem = PROBLEMS[code]
    body = {
        "type": f"{root_path}/docs#{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": detail_of(error),
        "code": code,
        "instance": f"urn:mien:request:{request_id}",
    }
    sent = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if code in _RETRY:
        seconds = getattr(error, "retry_after_s", 1.0)
        sent["Retry-After"] = str(max(math.ceil(seconds), 1))
    return JSONResponse(body, problem.status, sent, "application/problem+json")
