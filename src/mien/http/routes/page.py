"""``GET /``: the page for people, and the files that it is made of."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien.http.parameters import refuse_parameters

__all__ = ["page_routes"]

_FOLDER = files("mien.http") / "web"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing from elsewhere, nothing inline, nobody else's frame.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def page_routes() -> APIRouter:
    """Return the routes of the page; its files are read once."""
    router = APIRouter(include_in_schema=False)
    for file in _FOLDER.iterdir():
        name, suffix = file.name, "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            path = "/" if name == "index.html" else f"/web/{name}"
            router.add_api_route(path, _sender(file.read_bytes(), _TYPES[suffix]))
    return router


def _sender(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return Response(content, media_type=media_type, headers=_HEADERS)

    return send
