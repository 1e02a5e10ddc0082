"""``GET /``: the web page and its files."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from html import escape
from importlib.resources import files
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien.server.dependencies import OPEN

__all__ = ["page_router"]

_FOLDER = files("mien.server") / "web"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DOCS_LINK = b'<a id="docs-link" href="docs" target="_blank" rel="noopener">API</a>'
_HEADERS = {
    # No other hosts, nothing inline, no framing by other sites. The page creates blob: URLs
    # of the user's files, to show photos and to play videos.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src blob:; connect-src 'self'; base-uri 'self'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    # Browsers keep the files, but ask each time whether they changed. Unlike with no-store, they
    # can also restore the results if people leave the page and come back.
    "Cache-Control": "no-cache",
}


def page_router(root_path: str, *, docs: bool) -> APIRouter:
    """Return the routes of the page; its files are read once.

    Args:
        root_path: Path prefix below which a proxy serves the page, also without a final slash.
        docs: Whether the service has a page ``/docs``, to link to.
    """
    router = APIRouter(include_in_schema=False, dependencies=OPEN)
    for file in _FOLDER.iterdir():
        name, suffix = file.name, "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            path = "/" if name == "index.html" else f"/web/{name}"
            content = file.read_bytes()
            if path == "/" and not docs:
                content = content.replace(_DOCS_LINK, b"", 1)
            if path == "/" and root_path:
                base = f'<head>\n  <base href="{escape(quote(root_path))}/">'
                content = content.replace(b"<head>", base.encode(), 1)
            router.add_api_route(path, _sender(content, _TYPES[suffix]))
    return router


def _sender(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{sha256(content).hexdigest()}"'
    headers = {**_HEADERS, "ETag": tag}

    async def send(request: Request) -> Response:
        # The header may list several tags, which a proxy may have marked as weak (W/).
        if tag in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return send
