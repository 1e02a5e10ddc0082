"""``POST /emotion`` and ``POST /emotion/batch``."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from mien.config import Settings
from mien.errors import MienError
from mien.http import schema
from mien.http.parameters import Wanted, parse_wanted
from mien.http.problems import STATUSES
from mien.http.uploads import read_images
from mien.http.work import Answer, Workers
from mien.render.json import error_record, face_records

__all__ = ["router"]

router = APIRouter(tags=["emotion"])


@router.post("/emotion", openapi_extra=schema.EMOTION)
async def emotion(request: Request) -> Response:
    """Find the faces of one picture and read their emotions, largest face first."""
    wanted = parse_wanted(request.query_params)
    workers, settings = _service(request)
    (data,) = await read_images(request, settings, most=1)
    answer = await workers.analyze(data, wanted.options)
    request.state.seconds.update(answer.seconds)
    return _json(face_records(answer.result, wanted.include))


@router.post("/emotion/batch", openapi_extra=schema.BATCH)
async def emotion_batch(request: Request) -> Response:
    """Do the same for several pictures; one that fails does not fail the others."""
    wanted = parse_wanted(request.query_params)
    workers, settings = _service(request)
    uploads = await read_images(request, settings, most=settings.max_batch_images)
    answers = await workers.analyze_all(uploads, wanted.options)
    for answer in answers:
        if isinstance(answer, Answer):
            for stage, seconds in answer.seconds.items():
                request.state.seconds[stage] = request.state.seconds.get(stage, 0.0) + seconds
    return _json([_entry(answer, wanted) for answer in answers])


def _service(request: Request) -> tuple[Workers, Settings]:
    return request.app.state.workers, request.app.state.settings


def _entry(answer: Answer | MienError, wanted: Wanted) -> dict[str, Any]:
    if isinstance(answer, Answer):
        return {"faces": face_records(answer.result, wanted.include)}
    if answer.code not in STATUSES:
        # Not the picture's fault: the whole request fails and the log says why.
        raise answer
    return {"error": error_record(answer.code, answer.message)}


def _json(records: list[dict[str, Any]]) -> Response:
    return Response(json.dumps(records), media_type="application/json")
