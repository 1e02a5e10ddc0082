"""``WS /live``: frames of a camera in, what they show out, as fast as both sides can."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.errors import (
    ForbiddenOriginError,
    MienError,
    NotReadyError,
    UnsupportedMediaTypeError,
)
from mien.http.exchange import Exchange, exchange_of
from mien.http.parameters import Query, boolean, parse_query
from mien.http.service import Service
from mien.results import ImageResult
from mien.video.tracks import SMOOTHING_S, Tracker, tracked_record

__all__ = ["MAX_FRAME_BYTES", "PROTOCOL", "live_routes"]

# Any camera's picture; two for each caller are held at most.
MAX_FRAME_BYTES = 4_000_000
PROTOCOL = "mien"
_GOING_AWAY = 1001


def live_routes(service: Service) -> APIRouter:
    """Return the route that reads the emotions of a stream of frames."""
    router = APIRouter()

    @router.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        exchange = exchange_of(websocket)
        try:
            _check_origin(websocket, service.settings.cors_origins)
            await service.authorize(websocket)
            query = parse_query(websocket.scope["query_string"], more=("smooth",))
            tracker = Tracker(
                smoothing_s=SMOOTHING_S
                if boolean("smooth", query.more.get("smooth", "false"))
                else 0.0
            )
            if not service.ready:
                raise NotReadyError("the service is warming up or shutting down")
            with service.live.one():
                offered = websocket.scope.get("subprotocols", [])
                await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
                await _Frames(websocket, service, query, tracker, exchange).run()
        except MienError as error:
            await websocket.send_denial_response(exchange.problem(error))

    return router


def _check_origin(connection: HTTPConnection, allowed: str | None) -> None:
    """Raise ForbiddenOriginError for a page of another site that is not allowed to call.

    Browsers ask nobody before they open a WebSocket, so CORS does not protect it.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin.partition("://")[2] == connection.headers.get("host"):
        return
    if not {origin, "*"} & {item.strip() for item in (allowed or "").split(",")}:
        raise ForbiddenOriginError("pages of this site may not call this service")


class _Frames:
    """The frames of one caller: one is worked on, and of those that arrive meanwhile the newest."""

    def __init__(
        self,
        websocket: WebSocket,
        service: Service,
        query: Query,
        tracker: Tracker,
        exchange: Exchange,
    ) -> None:
        self._websocket, self._service, self._exchange = websocket, service, exchange
        self._query, self._tracker = query, tracker
        self._received = 0
        self._newest: bytes | str | None = None
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Answer until the caller leaves, falls silent or the service stops."""
        answering = asyncio.create_task(self._answer_all())
        receiving = asyncio.create_task(self._receive_all())
        try:
            done, _ = await asyncio.wait(
                (answering, receiving), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        except (WebSocketDisconnect, TimeoutError):
            await _close(self._websocket, _GOING_AWAY)
        finally:
            # With it what is under way is dropped.
            answering.cancel()
            receiving.cancel()
            await asyncio.wait((answering, receiving))

    async def _receive_all(self) -> None:
        while True:
            async with asyncio.timeout(self._service.settings.live_idle_s):
                message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._received += 1
            # What waits is out of date once there is another.
            self._newest = message.get("bytes") or message.get("text") or b""
            self._arrived.set()

    async def _answer_all(self) -> None:
        answered = 0
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            frame, number, self._newest = self._newest, self._received, None
            assert frame is not None  # noqa: S101 - for the type checker
            counts = {"frame": number - 1, "dropped": number - answered - 1}
            answered = number
            await self._websocket.send_json({**counts, **await self._answer(frame)})

    async def _answer(self, frame: bytes | str) -> dict[str, Any]:
        """Return what one frame shows, or why that can't be said."""
        try:
            return self._shown(await self._analyze(frame))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this frame's alone
            failure = self._exchange.failure(error, "a frame failed")
            self._service.metrics.count_rejections([failure["code"]])
            return {"error": failure}

    async def _analyze(self, frame: bytes | str) -> ImageResult:
        if isinstance(frame, str):
            raise UnsupportedMediaTypeError("send each frame as a binary message")
        with self._service.holding_bytes() as hold:
            hold(len(frame))
            outcomes = await self._service.analyze_all([frame], self._query.options)
        self._exchange.count(outcomes)
        return outcomes[0].unwrap()

    def _shown(self, result: ImageResult) -> dict[str, Any]:
        tracked = self._tracker.update(result.faces, time.monotonic())
        return {
            **tracked_record(tracked, result.width, result.height, self._query.include),
            "seconds": {
                stage: round(getattr(result.seconds, stage), 4)
                for stage in ("decode", "detect", "classify")
            },
        }


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        await websocket.close(code)
    except RuntimeError:
        # It has been closed from the other side.
        return
