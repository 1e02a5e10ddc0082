"""The schema, and a page made of it that needs neither scripts nor any other host."""

import re
from functools import cache, lru_cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mien.http.answers import json_response
from mien.http.describe import SECURITY_SCHEMES
from mien.http.page import CONTENT_POLICY, render_page
from mien.http.parameters import refuse_parameters
from mien.http.schemas import SCHEMAS

__all__ = ["documentation_routes", "schema_of"]

# A name, or an address of either kind, and a port: nothing that a shell or a page could act on.
_HOST = re.compile(r"([a-zA-Z0-9_.-]{1,253}|\[[a-fA-F0-9:.]{2,45}\])(:[0-9]{1,5})?")
_USUAL_ADDRESS = "http://127.0.0.1:9000"


def schema_of(app: FastAPI) -> dict[str, object]:
    """Return the OpenAPI schema of all documented routes."""
    schema = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    return {**schema, "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY_SCHEMES}}


def documentation_routes(app: FastAPI) -> APIRouter:
    """Return the routes that explain the given application."""
    router = APIRouter(include_in_schema=False)

    @cache
    def schema() -> dict[str, object]:
        return schema_of(app)

    # Callers may name any address; a service has few.
    @lru_cache(maxsize=8)
    def page(address: str) -> str:
        return render_page(schema(), address)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return json_response(schema())

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        headers = {"Content-Security-Policy": CONTENT_POLICY}
        return HTMLResponse(page(_address(request)), headers=headers)

    @router.get("/")
    async def root(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return RedirectResponse("/docs", status_code=307)

    return router


def _address(request: Request) -> str:
    """Return where the caller found the service, as ``https://host``, to be shown to the caller."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return _USUAL_ADDRESS
    # Of a proxy that speaks TLS. Anybody may write it, and gets it back alone.
    proxied = request.headers.get("x-forwarded-proto") == "https"
    return f"https://{host}" if proxied else f"{request.url.scheme}://{host}"
