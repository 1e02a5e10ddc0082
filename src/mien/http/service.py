"""What the endpoints share: the pipeline, the queue in front of it, and whether both are ready."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from prometheus_client import Gauge
from starlette.requests import HTTPConnection

from mien._version import __version__
from mien.artifacts import Card
from mien.config import Settings
from mien.cores import available_cores
from mien.deadline import Deadline
from mien.errors import NotReadyError, QueueFullError
from mien.http.engines import Analyze, Engines
from mien.http.keys import ApiKeys
from mien.http.metrics import Metrics
from mien.http.rates import RateLimits
from mien.http.work import Done, WorkQueue
from mien.options import Options
from mien.recognizer import Recognizer
from mien.results import ImageResult
from mien.types import RgbImage

__all__ = ["Service", "recognizer_of"]

# Large enough for a face pyramid of several levels, small enough to take no time.
_WARM_UP_SIDE_PX = 160
_LONG_RETRY_S = 30.0


def recognizer_of(settings: Settings) -> Recognizer:
    """Load the models of the settings. Raises as ``Recognizer`` does."""
    return Recognizer(
        detector=settings.detector,
        detector_model=settings.detector_model,
        model=settings.model,
        providers=settings.providers,
        max_pixels=settings.max_pixels,
        threads=settings.threads,
        min_face_size=settings.min_face_size,
    )


class Places:
    """Room for so many callers of what lasts long. words: what they have there."""

    def __init__(self, at_most: int, words: str, taken: Gauge) -> None:
        self.free, self._words, self._taken = at_most, words, taken

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place while it lasts. Raises QueueFullError if there is none."""
        if not self.free:
            raise QueueFullError(
                f"too many {self._words} at once; try again later", retry_after_s=_LONG_RETRY_S
            )
        self.free -= 1
        try:
            with self._taken.track_inprogress():
                yield
        finally:
            self.free += 1


class Service:
    """Begins not ready; ``start`` makes it so, ``drain`` ends it, ``close`` frees the threads.

    Raises InvalidParameterError for API keys or rate limits that are none.
    """

    def __init__(
        self,
        settings: Settings,
        build: Callable[[Settings], Recognizer],
        metrics: Metrics,
        built: Recognizer | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._keys, self._rates = ApiKeys.of(settings), RateLimits(settings)
        self._build = build if built is None else lambda _: built
        self.draining = False
        self._recognizer: Recognizer | None = None
        at_once = settings.threads or max(1, available_cores() // settings.workers)
        self._engines = (
            Engines(partial(_engine, build, settings), at_once) if settings.processes else None
        )
        self.queue = WorkQueue(
            threads=at_once,
            max_waiting=settings.max_queue,
            tell_depth=metrics.queue_depth.set,
        )
        metrics.queue_capacity.set(settings.max_queue)
        self._pending_bytes = 0
        self.live = Places(settings.max_live, "live views", metrics.live_views)
        self.videos = Places(settings.max_videos, "clips", metrics.videos)

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self._recognizer is not None and not self.draining

    @property
    def recognizer(self) -> Recognizer:
        """The loaded recognizer. Raises NotReadyError before it is there."""
        if self._recognizer is None:
            raise NotReadyError("the service is warming up; try again in a moment")
        return self._recognizer

    @property
    def model(self) -> str:
        """The classifier's name as on its card; ``custom`` if it has none."""
        card = getattr(self.recognizer.classifier, "card", None)
        return card.name if isinstance(card, Card) else "custom"

    def start(self) -> None:
        """Load the models and run each once. Raises what ``build`` and the models raise."""
        if self._engines:
            self._engines.begin()
        recognizer = self._build(self.settings)
        _try_out(recognizer)
        if self._engines:
            self._engines.wait_until_ready()
        self._recognizer = recognizer
        self.metrics.tell_model(
            version=__version__, detector=self.settings.detector, model=self.model
        )

    def try_out(self) -> None:
        """Run the models once. Raises NotReadyError before they are there, and what they raise."""
        _try_out(self.recognizer)

    def drain(self) -> None:
        """Stop being ready; what is under way still gets its answer."""
        self.draining = True

    def close(self) -> None:
        """Wait for running work and free the threads."""
        self.drain()
        self.queue.close()
        if self._engines:
            self._engines.close()
        self.metrics.close()

    async def authorize(self, request: HTTPConnection) -> None:
        """Raise UnauthorizedError or RateLimitedError before anything of a request is read."""
        await self._rates.check(request, self._keys.check(request))

    def admit(self, pieces: int = 1) -> None:
        """Raise NotReadyError or QueueFullError before a body is read that nobody can work on."""
        _ = self.recognizer
        self.queue.check_room(pieces)

    @contextmanager
    def holding_bytes(self) -> Iterator[Callable[[int], None]]:
        """Give a function that is called with each number of bytes that a request takes up.

        It raises QueueFullError once all requests together hold too many.
        """
        held = 0

        def hold(count: int) -> None:
            nonlocal held
            if self._pending_bytes + count > self.settings.max_pending_bytes:
                raise QueueFullError(
                    "too many bytes of pictures are waiting; try again in a moment",
                    retry_after_s=self.queue.retry_after_s,
                )
            held += count
            change(count)

        def change(count: int) -> None:
            self._pending_bytes += count
            self.metrics.pending_bytes.set(self._pending_bytes)

        try:
            yield hold
        finally:
            change(-held)

    async def analyze_all(
        self, pictures: Sequence[bytes], options: Options
    ) -> list[Done[ImageResult]]:
        """Return what came of each picture, in order. Raises QueueFullError if they don't fit.

        Whoever cancels this drops the work, begun or not.
        """
        deadline = Deadline.after(self.settings.deadline_s)
        works = [partial(self._analyze, picture, options, deadline) for picture in pictures]
        outcomes = await self.queue.run_all(works, deadline)
        self.metrics.count_pictures(outcomes)
        return outcomes

    def _analyze(self, data: bytes, options: Options, deadline: Deadline) -> ImageResult:
        if self._engines:
            return self._engines.analyze(data, options, deadline)
        return self.recognizer.analyze(data, options)


def _engine(build: Callable[[Settings], Recognizer], settings: Settings) -> Analyze:
    """Return what a process of its own does with pictures."""
    recognizer = build(settings)
    _try_out(recognizer)
    return recognizer.analyze


def _try_out(recognizer: Recognizer) -> None:
    side = _WARM_UP_SIDE_PX
    blank = RgbImage(np.full((side, side, 3), 127, dtype=np.uint8))
    recognizer.analyze(blank)
    recognizer.analyze(blank, Options(crop=True))
