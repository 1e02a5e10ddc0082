"""What every response carries: request id, timings, safe headers; and one log line."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.http.problems import problem

__all__ = ["Envelope"]

# Anything else is replaced: the id goes into logs and headers.
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

INTERNAL_DETAIL = "The service failed; its log has the request id."
# As other servers log it: the client closed the connection before the answer.
CLIENT_LEFT = 499

_logger = logging.getLogger("mien.access")


class Envelope:
    """Outermost layer of our own; handlers add to ``seconds`` in the request's state.

    What no other layer expected ends here: a line in the log, and a problem without details.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if SANE_ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["seconds"] = {}
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["Server-Timing"] = _timing(state["seconds"], started)
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except Exception:
            _logger.exception("request %s failed", request_id)
            if status:
                raise  # half an answer is out: only closing the connection can tell
            answer = problem("internal_error", INTERNAL_DETAIL, request_id)
            await answer(scope, receive, send_with_headers)
        finally:
            _logger.info(
                "%s %s %s %d %.1f ms",
                request_id,
                scope["method"],
                scope["path"].encode("unicode_escape").decode(),
                status,
                (time.perf_counter() - started) * 1e3,
            )


def _timing(seconds: dict[str, float], started: float) -> str:
    """Return the header's value, in milliseconds as its specification wants."""
    stages = {"decode": 0.0, "detect": 0.0, "classify": 0.0, "queue": 0.0, **seconds}
    stages["total"] = time.perf_counter() - started
    return ", ".join(f"{name};dur={value * 1e3:.1f}" for name, value in stages.items())
