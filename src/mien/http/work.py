"""Bounded work: decoding and inference in a few threads, a short queue, a deadline."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mien.config import Settings, available_cores
from mien.errors import DeadlineExceededError, MienError, NotReadyError, QueueFullError
from mien.image import decode_image
from mien.pipeline import Options, Pipeline
from mien.types import ImageResult, RgbImage

__all__ = ["Answer", "Workers"]

# A side of the blank picture for the warm-up: large enough for several pyramid levels.
WARM_UP_PX = 160


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one picture and the seconds of each stage, waiting included."""

    result: ImageResult
    seconds: dict[str, float]


class Workers:
    """Threads that turn uploads into results; ``start`` before use, ``stop`` after."""

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._threads = settings.threads or available_cores()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="mien-work")
        self._admitted = 0
        self.is_ready = False

    async def start(self) -> None:
        """Run one blank picture through everything, so that the first caller waits no longer."""
        blank = RgbImage(np.zeros((WARM_UP_PX, WARM_UP_PX, 3), dtype=np.uint8))
        loop = asyncio.get_running_loop()
        for options in (Options(), Options(crop=True)):
            await loop.run_in_executor(self._pool, self._pipeline.analyze, blank, options)
        self.is_ready = True

    def stop(self) -> None:
        """Refuse new work and let what was begun finish."""
        self.is_ready = False
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def analyze(self, data: bytes, options: Options) -> Answer:
        """Return the answer for one upload.

        Raises an ImageError if it is not usable, QueueFullError if too many wait already,
        DeadlineExceededError if its turn comes too late, NotReadyError before warm-up.
        """
        self.admit(1)
        try:
            return await self._run(data, options)
        finally:
            self._admitted -= 1

    async def analyze_all(self, uploads: list[bytes], options: Options) -> list[Answer | MienError]:
        """Return an answer or the error of each upload, in order; admitted together or not at all.

        Raises QueueFullError or NotReadyError.
        """
        self.admit(len(uploads))
        try:
            return await asyncio.gather(*(self._attempt(data, options) for data in uploads))
        finally:
            self._admitted -= len(uploads)

    def admit(self, pictures: int) -> None:
        """Count pictures in, or raise: NotReadyError, QueueFullError."""
        if not self.is_ready:
            raise NotReadyError("The service is not ready.")
        if self._admitted + pictures > self._threads + self._settings.max_waiting:
            raise QueueFullError("Too many pictures are waiting; try again.")
        self._admitted += pictures

    async def _attempt(self, data: bytes, options: Options) -> Answer | MienError:
        try:
            return await self._run(data, options)
        except MienError as error:
            return error

    async def _run(self, data: bytes, options: Options) -> Answer:
        queued = time.perf_counter()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._work, data, options, queued)

    def _work(self, data: bytes, options: Options, queued: float) -> Answer:
        started = self._check_deadline(queued)
        image = decode_image(data, max_pixels=self._settings.max_pixels)
        decoded = self._check_deadline(queued)
        result = self._pipeline.analyze(image, options)
        seconds = {
            "decode": decoded - started,
            "detect": result.seconds.detect,
            "classify": result.seconds.classify,
            "queue": started - queued,
        }
        return Answer(result, seconds)

    def _check_deadline(self, queued: float) -> float:
        now = time.perf_counter()
        if now - queued > self._settings.deadline_s:
            raise DeadlineExceededError(
                f"The answer was not ready within {self._settings.deadline_s:g} seconds."
            )
        return now
