"""The schema, and a page made of it that needs neither scripts nor any other host."""

from functools import cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mien.http.answers import json_response
from mien.http.describe import SECURITY_SCHEMES
from mien.http.page import CONTENT_POLICY, render_page
from mien.http.parameters import refuse_parameters
from mien.http.schemas import SCHEMAS

__all__ = ["documentation_routes", "schema_of"]


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

    @cache
    def page() -> str:
        return render_page(schema())

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return json_response(schema())

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return HTMLResponse(page(), headers={"Content-Security-Policy": CONTENT_POLICY})

    @router.get("/")
    async def root(request: Request) -> Response:
        refuse_parameters(request.scope["query_string"])
        return RedirectResponse("/docs", status_code=307)

    return router
