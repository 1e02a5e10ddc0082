"""``POST /emotion`` and ``POST /emotion/batch``: images in, faces with their emotions out."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from mien.results import ImageResult
from mien.server.body import unless_disconnected
from mien.server.context import RequestContext
from mien.server.dependencies import (
    GUARDED,
    GUARDED_PROBLEMS,
    IMAGE_UPLOAD_PROBLEMS,
    Context,
    ImagesUpload,
    ImageUpload,
    TheService,
)
from mien.server.openapi import BATCH_BODY, IMAGE_BODY
from mien.server.parameters import EmotionQuery
from mien.server.responses import BatchEntry, Face, problems
from mien.workers import Outcome

__all__ = ["router"]

router = APIRouter(tags=["emotion"], dependencies=GUARDED)

_Query = Annotated[EmotionQuery, Query()]
_PROBLEMS = (*GUARDED_PROBLEMS, *IMAGE_UPLOAD_PROBLEMS, "deadline_exceeded")
_IMAGE_PROBLEMS = (
    "empty_upload",
    "image_too_large",
    "not_an_image",
    "truncated_image",
    "unsupported_format",
)


@router.post(
    "/emotion",
    operation_id="analyze",
    summary="Analyze an image",
    response_model=list[Face],
    responses=problems(*_PROBLEMS, *_IMAGE_PROBLEMS),
    openapi_extra=IMAGE_BODY,
)
async def analyze(
    request: Request, query: _Query, upload: ImageUpload, service: TheService, context: Context
) -> Response:
    """Find the faces in an image, largest first, and classify the emotion of each.

    The list is empty if there is no face. The bytes decide whether the body is an image or JSON,
    not its content type; a form is recognized by its content type.
    """
    images = await upload()
    outcomes = await unless_disconnected(request, service.analyze(images, query.options()))
    context.add(outcomes)
    return JSONResponse(outcomes[0].unwrap().face_records(query.include))


@router.post(
    "/emotion/batch",
    operation_id="analyze_batch",
    summary="Analyze several images",
    response_model=list[BatchEntry],
    responses=problems(*_PROBLEMS),
    openapi_extra=BATCH_BODY,
)
async def analyze_batch(
    request: Request, query: _Query, upload: ImagesUpload, service: TheService, context: Context
) -> Response:
    """Analyze several images; the error of one does not affect the others.

    The response has one entry for each image, in the order of the form.
    """
    images = await upload()
    outcomes = await unless_disconnected(request, service.analyze(images, query.options()))
    context.add(outcomes)
    return JSONResponse([_entry(outcome, query, context) for outcome in outcomes])


def _entry(outcome: Outcome[ImageResult], query: Any, context: RequestContext) -> dict[str, Any]:
    if not isinstance(outcome.result, BaseException):
        return {"faces": outcome.result.face_records(query.include)}
    return {"error": context.failure(outcome.result, "an image failed")}
