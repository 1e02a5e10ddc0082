"""What operators and browsers ask: is it alive, is it ready, which version, which pages."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from mien import __version__
from mien.artifacts import card_names
from mien.errors import NotReadyError
from mien.http.pages import docs_page

__all__ = ["router"]

router = APIRouter(tags=["service"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Say whether pictures are taken: 503 until the models are warm, and while shutting down."""
    if not request.app.state.workers.is_ready:
        raise NotReadyError("The service is not ready.")
    return {"status": "ready"}


@router.get("/version")
async def version(request: Request) -> dict[str, Any]:
    """Name the version, the detector and the models in the package."""
    settings = request.app.state.settings
    return {
        "name": "mien",
        "version": __version__,
        "detector": settings.detector,
        "model": settings.model.name if settings.model else "emotion-lite0",
        "models": card_names(),
    }


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Describe every route, from the OpenAPI schema, without scripts or other hosts."""
    return HTMLResponse(docs_page(request.app.openapi()))


@router.get("/", include_in_schema=False)
async def index() -> RedirectResponse:
    """Lead people to the description."""
    return RedirectResponse("docs")
