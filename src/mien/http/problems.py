"""Errors as ``application/problem+json`` (RFC 9457); one table from code to status."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from mien.errors import MienError

__all__ = ["PROBLEM_TYPE", "STATUSES", "install", "problem"]

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

# code -> (status, title). A code that is missing here is an internal error.
STATUSES: Mapping[str, tuple[int, str]] = {
    "not_an_image": (400, "Not an image"),
    "truncated_image": (400, "Truncated or corrupt image"),
    "empty_upload": (400, "Empty upload"),
    "unsupported_format": (400, "Unsupported image format"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "Method not allowed"),
    "upload_timeout": (408, "Upload took too long"),
    "upload_too_large": (413, "Upload too large"),
    "image_too_large": (413, "Image has too many pixels"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "invalid_parameter": (422, "Invalid parameter"),
    "missing_image": (422, "No image"),
    "too_many_images": (422, "Too many images"),
    "queue_full": (429, "Too many requests waiting"),
    "internal_error": (500, "Internal error"),
    "not_ready": (503, "Not ready"),
    "deadline_exceeded": (504, "Deadline exceeded"),
}
RETRIED = frozenset({"queue_full", "not_ready"})
# The rest of the body would be read and thrown away for as long as it comes.
CUT_OFF = frozenset({"upload_too_large", "upload_timeout"})


def problem(code: str, detail: str, request_id: str) -> Response:
    """Return the answer for an error code of the table."""
    status, title = STATUSES[code]
    body: dict[str, Any] = {
        "type": f"urn:mien:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": f"urn:mien:request:{request_id}",
    }
    headers = {"Retry-After": str(RETRY_AFTER_S)} if code in RETRIED else {}
    if code in CUT_OFF:
        headers["Connection"] = "close"
    return Response(json.dumps(body), status_code=status, media_type=PROBLEM_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""
    app.add_exception_handler(MienError, _expected)
    app.add_exception_handler(HTTPException, _routing)


def _expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, MienError) or error.code not in STATUSES:
        raise error
    return problem(error.code, error.message, request.state.request_id)


def _routing(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    code, detail = (
        ("method_not_allowed", f"{request.method} is not possible here.")
        if status == 405
        else ("not_found", "There is nothing at this path; /docs lists what there is.")
    )
    answer = problem(code, detail, request.state.request_id)
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer
