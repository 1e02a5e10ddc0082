"""What the endpoints share: the pool of workers, limits, and whether the service is ready."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from prometheus_client import Gauge

from mien._version import __version__
from mien.cores import available_cores
from mien.deadline import Deadline
from mien.errors import QueueFullError, VideoUnavailableError
from mien.image import ImageInput
from mien.options import Options
from mien.plugins import CLASSIFIER_GROUP, plugin_names
from mien.recognizer import Recognizer
from mien.results import ImageResult
from mien.server.errors import RequestError
from mien.server.in_worker import name_on_card, warm_recognizer, warm_up
from mien.server.keys import ApiKeys
from mien.server.metrics import Metrics
from mien.server.rates import RateLimits
from mien.settings import Settings
from mien.video.reader import library
from mien.workers import Outcome, WorkerPool

__all__ = ["Service", "Slots"]

_LONG_RETRY_S = 30.0


class Slots:
    """A limit on concurrent long tasks. ``nouns``: what they are called in the error."""

    def __init__(self, count: int, nouns: str, taken: Gauge) -> None:
        self.free, self._nouns, self._taken = count, nouns, taken

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a slot until the block ends. Raises QueueFullError if there is none."""
        if not self.free:
            raise QueueFullError(
                f"too many {self._nouns} at once; try again later", retry_after_s=_LONG_RETRY_S
            )
        self.free -= 1
        try:
            with self._taken.track_inprogress():
                yield
        finally:
            self.free += 1


class Service:
    """The state behind the endpoints: ready from ``start`` to ``drain``.

    Raises:
        InvalidParameterError: The API keys or rate limits of the settings are invalid.
    """

    def __init__(
        self, settings: Settings, build: Callable[[], Recognizer], metrics: Metrics
    ) -> None:
        self.settings, self.metrics = settings, metrics
        self.keys, self.rates = ApiKeys.from_settings(settings), RateLimits(settings)
        self.started = self.draining = False
        self.model = ""
        self.pool = WorkerPool(
            partial(warm_recognizer, build),
            settings.threads or max(1, available_cores() // settings.workers),
            max_waiting=settings.max_queue,
            processes=settings.processes,
            report_waiting=metrics.queue_depth.set,
        )
        self._pending_bytes = 0
        self.live = Slots(settings.max_live, "live connections", metrics.live_connections)
        self.videos = Slots(settings.max_videos, "videos", metrics.videos)

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self.started and not self.draining

    async def start(self) -> None:
        """Start the workers, which load and warm up the models. Raises what ``build`` raises."""
        await self.pool.start()
        name = await self.pool.run(name_on_card)
        if self.settings.model in plugin_names(CLASSIFIER_GROUP):
            name = self.settings.model
        self.model = name or "custom"
        self.started = True
        self.metrics.queue_capacity.set(self.settings.max_queue)
        self.metrics.record_model(
            version=__version__, detector=self.settings.detector, model=self.model
        )

    async def check(self) -> None:
        """Run the models once, even if the queue is full. Raises what they raise."""
        (outcome,) = await self.pool.run_all(warm_up, [()], reserved=True)
        outcome.unwrap()

    def drain(self) -> None:
        """Stop being ready; requests in progress still get their responses."""
        self.draining = True

    async def close(self) -> None:
        """End the workers."""
        self.drain()
        await self.pool.close()
        self.metrics.close()

    def check_videos(self) -> None:
        """Raise VideoUnavailableError if videos are disabled or PyAV is missing."""
        if not self.settings.max_videos:
            raise VideoUnavailableError("videos are disabled: MIEN_MAX_VIDEOS is 0")
        library()

    @contextmanager
    def holding_bytes(self) -> Iterator[Callable[[int], None]]:
        """Return a function that counts the bytes that a request holds until the block ends.

        It raises QueueFullError once all requests together hold too many, and RequestError once
        this one alone does.
        """
        held = 0

        def hold(count: int) -> None:
            nonlocal held
            most = self.settings.max_pending_bytes
            if held + count > most:
                # Such as JSON, which is larger than its file. Retrying would not help.
                raise RequestError(
                    "upload_too_large", f"the body is larger than the limit of {most:,} bytes"
                )
            if self._pending_bytes + count > most:
                raise QueueFullError(
                    "too many bytes of images are waiting; try again in a moment",
                    retry_after_s=self.pool.retry_after_s,
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

    async def analyze(
        self, images: Sequence[ImageInput], options: Options, *, reserved: bool = False
    ) -> list[Outcome[ImageResult]]:
        """Return the outcome of each image, in order. Raises QueueFullError if they do not fit.

        Args:
            images: The images.
            options: Options for all images.
            reserved: Accept them even if the queue is full, because other limits apply.
        """
        outcomes = await self.pool.run_all(
            Recognizer.analyze,
            [(image, options) for image in images],
            deadline=Deadline.after(self.settings.deadline_s),
            reserved=reserved,
        )
        self.metrics.count_images(outcomes)
        return outcomes
