"""Health checks, versions and metrics."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from mien._version import __version__
from mien.server.dependencies import OPEN, TheService
from mien.server.errors import RequestError
from mien.server.responses import Status, Version, problems

__all__ = ["metrics_router", "router"]

router = APIRouter(tags=["system"], dependencies=OPEN)
metrics_router = APIRouter(dependencies=OPEN, include_in_schema=False)


@router.get(
    "/livez", operation_id="livez", summary="Liveness", response_model=Status, responses=problems()
)
async def livez() -> Response:
    """Return 200 as long as the process responds."""
    return JSONResponse({"status": "alive"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Readiness",
    response_model=Status,
    responses=problems("not_ready"),
)
async def readyz(service: TheService) -> Response:
    """Return 200 once the models are warm, and until shutdown begins."""
    if not service.ready:
        raise RequestError("not_ready")
    return JSONResponse({"status": "ready"})


@router.get(
    "/version",
    operation_id="version",
    summary="Version",
    response_model=Version,
    responses=problems("not_ready"),
)
async def version(service: TheService) -> Response:
    """Return the names and versions of what is running."""
    if not service.started:
        raise RequestError("not_ready")
    return JSONResponse(
        {
            "name": "mien",
            "version": __version__,
            "detector": service.settings.detector,
            "model": service.model,
        }
    )


@metrics_router.get("/metrics")
async def metrics(request: Request, service: TheService) -> Response:
    """Return the metrics for Prometheus."""
    page, content_type = service.metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"Content-Type": content_type})
