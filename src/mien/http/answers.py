"""Answers as JSON that is written once, without a detour through models."""

import json
from typing import Any

from starlette.responses import Response

__all__ = ["json_response"]


def json_response(content: Any) -> Response:
    """Return 200 with the content as compact JSON."""
    return Response(
        json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
        media_type="application/json",
    )
