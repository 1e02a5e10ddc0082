"""``POST /video``: streams a line of JSON for each sample of a video, then a summary."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from itertools import islice
from threading import Lock
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from mien.deadline import Deadline, too_late
from mien.server.body import unless_disconnected
from mien.server.context import RequestContext
from mien.server.dependencies import (
    GUARDED,
    GUARDED_PROBLEMS,
    VIDEO_UPLOAD_PROBLEMS,
    Context,
    TheService,
    VideoUpload,
)
from mien.server.openapi import LINES_TYPE, VIDEO_BODY
from mien.server.parameters import VideoQuery
from mien.server.responses import problems
from mien.server.service import Service
from mien.video.reader import Frame, VideoLimits, VideoReader, open_video
from mien.video.summary import Summary
from mien.video.tracks import SMOOTHING_S, Tracker, followed

__all__ = ["router"]

_Result = TypeVar("_Result")
# Frames that are analyzed at once, before other requests get their turn.
_GROUP = 3

router = APIRouter(tags=["emotion"], dependencies=GUARDED)


class _Lines(StreamingResponse):
    media_type = LINES_TYPE


@router.post(
    "/video",
    operation_id="analyze_video",
    summary="Analyze a video",
    response_class=_Lines,
    responses=problems(
        *GUARDED_PROBLEMS,
        *VIDEO_UPLOAD_PROBLEMS,
        *("deadline_exceeded", "empty_upload", "unreadable_video", "video_too_large"),
    ),
    openapi_extra=VIDEO_BODY,
)
async def analyze_video(
    request: Request,
    query: Annotated[VideoQuery, Query()],
    upload: VideoUpload,
    service: TheService,
    context: Context,
) -> Response:
    """Track the faces in a video and classify each person's emotions, sample by sample.

    The response has a line of JSON for each sample as soon as it is analyzed, then one with a
    summary, or one with an error if the video cannot be read any further. A video that cannot be
    read at all gets a problem response.
    """
    (video,) = await upload()
    records = _records(service, context, video, query)
    try:
        first = await unless_disconnected(request, records.__anext__())
    except BaseException:
        await records.aclose()
        raise
    # Proxies would collect lines otherwise; this header is nginx's.
    return _Lines(_lines(first, records, context), headers={"X-Accel-Buffering": "no"})


def _groups(
    data: bytes, limits: VideoLimits, per_second: float
) -> Generator[tuple[list[Frame], VideoReader], None, None]:
    """Yield the samples of a video in groups, each with its reader; the last group is empty."""
    with open_video(data, limits) as video:
        frames = video.frames(per_second)
        while group := list(islice(frames, _GROUP)):
            yield group, video
        yield [], video


async def _records(
    service: Service, context: RequestContext, video: bytes, query: VideoQuery
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield a record for each sample, then the summary. Raises what prevents the next one."""
    settings = service.settings
    limits = VideoLimits(pixels=settings.max_video_pixels, seconds=settings.max_video_seconds)
    groups, busy = _groups(video, limits, query.fps), Lock()

    def next_group() -> tuple[list[Frame], VideoReader]:
        with busy:
            return next(groups)

    def close() -> None:
        # A cancelled call may still run; what it reads must not be closed meanwhile.
        with busy:
            groups.close()

    tracker = Tracker(smoothing_s=SMOOTHING_S if query.smooth else 0.0)
    summary = Summary(query.fps)
    try:
        while True:
            frames, reader = await _in_thread(next_group, settings.deadline_s)
            if not frames:
                break
            # The video has a slot already, so its frames are accepted even if the queue is full.
            outcomes = await service.analyze(
                [frame.image for frame in frames], query.options(), reserved=True
            )
            context.count(outcomes)
            results = [outcome.unwrap() for outcome in outcomes]
            for sample in followed(zip(frames, results, strict=True), tracker):
                summary.add(sample)
                yield sample.record(frozenset(query.include))
        yield {
            "summary": summary.record(cut_off=reader.cut_off, dropped_frames=reader.dropped_frames)
        }
    finally:
        await asyncio.to_thread(close)


async def _in_thread(function: Callable[[], _Result], seconds: float) -> _Result:
    """Return the result of a function that checks its deadline, run in a thread."""
    deadline = Deadline.after(seconds)
    with deadline.observed():
        running = asyncio.ensure_future(asyncio.to_thread(function))
    # After the deadline, or if the client has disconnected, no code awaits the task. asyncio would
    # then log its error.
    running.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait((running,), timeout=seconds)
        if running.done():
            return running.result()
        raise too_late()
    finally:
        # The thread ends at its next check.
        deadline.expire()


async def _lines(
    first: dict[str, Any], records: AsyncGenerator[dict[str, Any], None], context: RequestContext
) -> AsyncGenerator[bytes, None]:
    async with aclosing(records):
        yield _line(first)
        try:
            async for record in records:
                yield _line(record)
        except Exception as error:  # noqa: BLE001 - the status is sent: only a line can say
            yield _line({"error": context.failure(error, "a video failed")})


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
