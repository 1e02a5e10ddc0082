"""Whether the service lives, whether it is ready, and what it runs."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien._version import __version__
from mien.errors import NotReadyError
from mien.http import describe
from mien.http.answers import json_response
from mien.http.parameters import refuse_parameters
from mien.http.service import Service

__all__ = ["system_routes"]


def system_routes(service: Service) -> APIRouter:
    """Return the routes that tell of the given service."""
    router = APIRouter(tags=["system"])

    @router.get("/livez", **describe.LIVEZ)
    async def livez(request: Request) -> Response:
        """Answer as long as the process does."""
        refuse_parameters(request.scope["query_string"])
        return json_response({"status": "alive"})

    @router.get("/readyz", **describe.READYZ)
    async def readyz(request: Request) -> Response:
        """Answer 200 once the models are warm, and until shutdown begins."""
        refuse_parameters(request.scope["query_string"])
        if not service.ready:
            raise NotReadyError("the service is warming up or shutting down")
        return json_response({"status": "ready"})

    @router.get("/version", **describe.VERSION)
    async def version(request: Request) -> Response:
        """Tell the names of what is running."""
        refuse_parameters(request.scope["query_string"])
        return json_response(
            {
                "name": "mien",
                "version": __version__,
                "detector": service.settings.detector,
                "model": service.model,
            }
        )

    if service.settings.metrics:

        @router.get("/metrics", include_in_schema=False)
        async def metrics(request: Request) -> Response:
            refuse_parameters(request.scope["query_string"])
            page, content_type = service.metrics.page(request.headers.get("accept", ""))
            return Response(page, headers={"Content-Type": content_type})

    return router
