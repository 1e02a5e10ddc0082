"""``POST /emotion`` and ``POST /emotion/batch``: pictures in, faces with emotions out."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from mien.http import describe
from mien.http.answers import json_response
from mien.http.departure import unless_gone
from mien.http.exchange import Exchange, exchange_of
from mien.http.parameters import Query, parse_query
from mien.http.service import Service
from mien.http.upload import Upload, one_picture, pictures, read_files
from mien.http.work import Done
from mien.results import ImageResult

__all__ = ["emotion_routes"]


def emotion_routes(service: Service) -> APIRouter:
    """Return the routes that read emotions with the given service."""
    router = APIRouter(tags=["emotion"])

    @router.post("/emotion", **describe.EMOTION)
    async def emotion(request: Request) -> Response:
        """Find the faces of one picture, largest first, and say what each shows.

        A picture without a face gives an empty list.
        """
        query, (done,) = await _analyze(service, request, one_picture(service.settings))
        return json_response(done.unwrap().face_records(query.include))

    @router.post("/emotion/batch", **describe.BATCH)
    async def emotion_batch(request: Request) -> Response:
        """Do the same for several pictures; one that is bad never fails the others.

        The answer has one entry per picture, in the order of the form.
        """
        query, outcomes = await _analyze(service, request, pictures(service.settings))
        exchange = exchange_of(request)
        return json_response([_entry(done, query, exchange) for done in outcomes])

    return router


async def _analyze(
    service: Service, request: Request, upload: Upload
) -> tuple[Query, list[Done[ImageResult]]]:
    """Return what is asked and what came of each picture; cheap refusals come first."""
    await service.authorize(request)
    query = parse_query(request.scope["query_string"])
    service.admit()
    with service.holding_bytes() as hold:
        files = await read_files(request, upload, hold)
        outcomes = await unless_gone(request, service.analyze_all(files, query.options))
    exchange_of(request).add(outcomes)
    return query, outcomes


def _entry(done: Done[ImageResult], query: Query, exchange: Exchange) -> dict[str, Any]:
    if not isinstance(done.answer, BaseException):
        return {"faces": done.answer.face_records(query.include)}
    failure = exchange.failure(done.answer, "a picture failed")
    exchange.codes.append(failure["code"])
    return {"error": failure}
