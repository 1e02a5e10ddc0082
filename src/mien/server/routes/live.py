"""``WS /live``: frames of a camera in, their faces out, as fast as both sides can."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.results import ImageResult
from mien.server.context import RequestContext
from mien.server.dependencies import Context, TheService, authorize, no_repeated_parameters
from mien.server.errors import RequestError
from mien.server.parameters import LiveQuery
from mien.server.service import Service
from mien.video.tracks import SMOOTHING_S, Tracker, tracked_record

__all__ = ["MAX_FRAME_BYTES", "PROTOCOL", "router"]

# A frame of any camera; at most two are held for each client.
MAX_FRAME_BYTES = 4_000_000
PROTOCOL = "mien"
_GOING_AWAY = 1001


async def _check_origin(connection: HTTPConnection, service: TheService) -> None:
    """Raise RequestError for a page of an origin that is not allowed.

    Browsers send no preflight before they open a WebSocket, so CORS does not protect it.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin.partition("://")[2] == connection.headers.get("host"):
        return
    allowed = (service.settings.cors_origins or "").split(",")
    if not {origin, "*"} & {item.strip() for item in allowed}:
        raise RequestError("forbidden_origin")


router = APIRouter(
    dependencies=[Depends(_check_origin), Depends(authorize), Depends(no_repeated_parameters)]
)


@router.websocket("/live")
async def live(
    websocket: WebSocket,
    query: Annotated[LiveQuery, Query()],
    service: TheService,
    context: Context,
) -> None:
    """Analyze the frames of a camera; if they arrive too fast, only the newest one."""
    if not service.ready:
        raise RequestError("not_ready")
    with service.live.one():
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        await _Frames(websocket, service, query, context).run()


class _Frames:
    """The frames of one client: the newest frame is analyzed next, others are dropped."""

    def __init__(
        self, websocket: WebSocket, service: Service, query: Any, context: RequestContext
    ) -> None:
        self._websocket, self._service, self._context = websocket, service, context
        self._query, self._options = query, query.options()
        self._tracker = Tracker(smoothing_s=SMOOTHING_S if query.smooth else 0.0)
        self._received = 0
        self._newest: bytes | str | None = None
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Send results until the client disconnects or sends nothing, or the service stops."""
        sending = asyncio.create_task(self._send_all())
        receiving = asyncio.create_task(self._receive_all())
        try:
            done, _ = await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (WebSocketDisconnect, TimeoutError):
            await _close(self._websocket, _GOING_AWAY)
        finally:
            # This also cancels the frame in progress.
            sending.cancel()
            receiving.cancel()
            await asyncio.wait((sending, receiving))

    async def _receive_all(self) -> None:
        while True:
            async with asyncio.timeout(self._service.settings.live_idle_s):
                message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._received += 1
            # A waiting frame is outdated once there is a newer one.
            self._newest = message.get("bytes") or message.get("text") or b""
            self._arrived.set()

    async def _send_all(self) -> None:
        sent = 0
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            frame, number, self._newest = self._newest, self._received, None
            assert frame is not None  # noqa: S101 - for the type checker
            counts = {"frame": number - 1, "dropped": number - sent - 1}
            sent = number
            await self._websocket.send_json({**counts, **await self._message(frame)})

    async def _message(self, frame: bytes | str) -> dict[str, Any]:
        """Return the result of one frame, or its error."""
        try:
            return self._record(await self._analyze(frame))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this frame's alone
            failure = self._context.failure(error, "a frame failed", count=False)
            self._service.metrics.count_rejections([failure["code"]])
            return {"error": failure}

    async def _analyze(self, frame: bytes | str) -> ImageResult:
        if isinstance(frame, str):
            raise RequestError(
                "unsupported_media_type", "send each frame as a binary message, not as text"
            )
        with self._service.holding_bytes() as hold:
            hold(len(frame))
            outcomes = await self._service.analyze([frame], self._options)
        self._context.count(outcomes)
        return outcomes[0].unwrap()

    def _record(self, result: ImageResult) -> dict[str, Any]:
        tracked = self._tracker.update(result.faces, time.monotonic())
        include = frozenset(self._query.include)
        return {
            **tracked_record(tracked, result.width, result.height, include, turn=result.turn),
            "seconds": {stage: round(s, 4) for stage, s in asdict(result.seconds).items()},
        }


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        await websocket.close(code)
    except RuntimeError:
        # The client has closed it already.
        return
