"""``POST /video``: a clip in; for each sample a line of JSON out, while the next is worked on."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from mien.deadline import Deadline
from mien.errors import VideoUnavailableError
from mien.http import describe
from mien.http.departure import unless_gone
from mien.http.exchange import Exchange, exchange_of
from mien.http.parameters import Query, boolean, decimal, parse_query, whole
from mien.http.service import Service
from mien.http.upload import one_clip, read_files
from mien.http.work import Done
from mien.recognizer import Recognizer
from mien.results import ImageResult
from mien.video.analysis import DETECT_EVERY, PER_SECOND, followed, grouped, read_group
from mien.video.reader import Frame, VideoLimits, VideoReader, library, open_video
from mien.video.summary import Summary
from mien.video.tracks import SMOOTHING_S, Tracker

__all__ = ["video_routes"]


def video_routes(service: Service) -> APIRouter:
    """Return the route that reads clips with the given service."""
    router = APIRouter(tags=["emotion"])

    @router.post("/video", **describe.VIDEO)
    async def video(request: Request) -> Response:
        """Follow the faces of a clip and say what each person shows, sample by sample.

        A line of JSON for each sample as soon as it is read, then one with the summary; or one with
        an error, if it has to end before. A clip that can't be read at all is a problem as usual.
        """
        await service.authorize(request)
        wanted = _Wanted.of(request.scope["query_string"])
        _check_readable(service)
        service.admit()
        exchange, settings = exchange_of(request), service.settings
        async with AsyncExitStack() as stack:
            stack.enter_context(service.videos.one())
            hold = stack.enter_context(service.holding_bytes())
            (data,) = await read_files(request, one_clip(settings), hold)
            limits = VideoLimits(
                pixels=settings.max_video_pixels, seconds=settings.max_video_seconds
            )
            reader = _Reader(data, limits, wanted, service.recognizer)
            stack.push_async_callback(asyncio.to_thread, reader.close)
            records = await stack.enter_async_context(
                aclosing(_records(service, exchange, reader, wanted))
            )
            first = await unless_gone(request, records.__anext__())
            return _Stream(_lines(first, records, exchange), stack.pop_all())

    return router


def _check_readable(service: Service) -> None:
    """Raise VideoUnavailableError where clips are not read."""
    if not service.settings.max_videos:
        raise VideoUnavailableError("this service reads no clips")
    library()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a caller asks for.

    fps: samples a second; detect_every: in each n-th of them new faces are looked for.
    """

    query: Query
    fps: float
    detect_every: int
    smoothing_s: float

    @classmethod
    def of(cls, query_string: bytes) -> "_Wanted":
        """Return what a query string asks for. Raises InvalidParameterError."""
        query = parse_query(query_string, more=("fps", "detect_every", "smooth"))
        fps = query.more.get("fps", f"{PER_SECOND:g}")
        detect_every = query.more.get("detect_every", str(DETECT_EVERY))
        smooth = boolean("smooth", query.more.get("smooth", "true"))
        return cls(
            query,
            decimal("fps", fps, *describe.FPS_RANGE),
            whole("detect_every", detect_every, *describe.DETECT_EVERY_RANGE),
            SMOOTHING_S if smooth else 0.0,
        )


class _Reader:
    """A clip that is read piece by piece, in any thread but in one at a time."""

    def __init__(
        self, data: bytes, limits: VideoLimits, wanted: _Wanted, recognizer: Recognizer
    ) -> None:
        self._data, self._limits = data, limits
        self._wanted, self._recognizer = wanted, recognizer
        self._open = ExitStack()
        self._clip: VideoReader | None = None
        self._groups: Iterator[list[Frame]] = iter(())
        # Work that was given up may still run; what it reads must not be closed under it.
        self._busy = Lock()

    @property
    def cut_off(self) -> bool:
        """Whether the clip ended in damage, known at its end."""
        return self._clip is not None and self._clip.cut_off

    @property
    def dropped_frames(self) -> int:
        """How many frames were dropped, known at the end."""
        return 0 if self._clip is None else self._clip.dropped_frames

    def next_group(self) -> list[tuple[Frame, ImageResult]]:
        """Return the next samples with what they show; none at the end.

        Raises what reading a clip raises.
        """
        with self._busy:
            if self._clip is None:
                self._clip = self._open.enter_context(open_video(self._data, self._limits))
                frames = self._clip.frames(self._wanted.fps)
                self._groups = grouped(frames, self._wanted.detect_every)
            group = next(self._groups, [])
            return read_group(self._recognizer, group, self._wanted.query.options)

    def close(self) -> None:
        """Close the clip, once nobody reads it any more."""
        with self._busy:
            self._open.close()


async def _records(
    service: Service, exchange: Exchange, reader: _Reader, wanted: _Wanted
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield a record for each sample, then the summary. Raises what ended it before."""
    tracker, summary = Tracker(smoothing_s=wanted.smoothing_s), Summary(wanted.fps)
    while True:
        deadline = Deadline.after(service.settings.deadline_s)
        (done,) = await service.queue.run_all([reader.next_group], deadline, reserved=True)
        group = done.unwrap()
        if not group:
            break
        outcomes = [Done(result, done.queued_s, done.asked_s) for _, result in group]
        service.metrics.count_pictures(outcomes)
        exchange.count(outcomes)
        for sample in followed(group, tracker):
            summary.add(sample)
            yield sample.record(wanted.query.include)
    record = summary.record(cut_off=reader.cut_off, dropped_frames=reader.dropped_frames)
    yield {"summary": record}


async def _lines(
    first: dict[str, Any], records: AsyncGenerator[dict[str, Any], None], exchange: Exchange
) -> AsyncGenerator[bytes, None]:
    yield _line(first)
    try:
        async for record in records:
            yield _line(record)
    except Exception as error:  # noqa: BLE001 - the status is sent: only a line can tell
        failure = exchange.failure(error, "a clip failed")
        exchange.codes.append(failure["code"])
        yield _line({"error": failure})


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


class _Stream(StreamingResponse):
    """Lines as they come. held: what is given back at their end, or when the caller leaves."""

    def __init__(self, lines: AsyncGenerator[bytes, None], held: AsyncExitStack) -> None:
        # Proxies would gather lines otherwise; nginx's own header.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(lines, media_type=describe.LINES_TYPE, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)
