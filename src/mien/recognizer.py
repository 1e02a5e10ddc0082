"""The Python interface: any kind of picture in, results out."""

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import TypeVar

from mien.build import build_pipeline
from mien.classify.labels import LabelSet
from mien.config import Settings
from mien.cores import available_cores
from mien.errors import InvalidParameterError, MienError
from mien.image import Picture, load_image
from mien.pipeline import Options, Pipeline
from mien.types import ImageResult

__all__ = ["Picture", "Recognizer", "analyze", "in_order"]

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Recognizer:
    """Finds faces and reads their emotions; built once, safe to share between threads.

    min_face_size: smallest face looked for, 12 pixels or more; labels: ``six``, ``seven`` or
    ``eight``; max_faces: keep only the largest; crop: each picture is one cropped face, so nothing
    is looked for; settings: everything else, by default the environment's.
    Raises ArtifactError if a model file is missing or altered, InvalidParameterError for an
    option that is out of range.

    Its pipeline and options may be used for pictures that are decoded already.
    """

    def __init__(
        self,
        *,
        min_face_size: int | None = None,
        max_faces: int | None = None,
        labels: LabelSet | str = LabelSet.SIX,
        crop: bool = False,
        settings: Settings | None = None,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.options = _options(min_face_size, max_faces, labels, crop)
        self._settings = settings or Settings.from_environment()
        self.pipeline = pipeline or build_pipeline(self._settings)

    @property
    def threads(self) -> int:
        """How many pictures are worked on at once."""
        return self._settings.threads or available_cores()

    @property
    def max_pixels(self) -> int:
        """Larger pictures are refused before decoding."""
        return self._settings.max_pixels

    def analyze(self, picture: Picture) -> ImageResult:
        """Return the faces of one picture: a path, bytes, PIL image or (H, W, 3) uint8 array.

        Raises an ImageError if the picture cannot be used.
        """
        started = perf_counter()
        enough = self.pipeline.enough_pixels(self.options)
        image = load_image(picture, max_pixels=self.max_pixels, enough_pixels=enough)
        decode = perf_counter() - started
        result = self.pipeline.analyze(image, self.options)
        return replace(result, seconds=replace(result.seconds, decode=decode))

    def analyze_many(self, pictures: Iterable[Picture]) -> list[ImageResult]:
        """Return one result per picture, in order; a bad picture is a result with ``error``.

        Works on as many pictures at once as there are cores to use.
        """
        return list(self.iter_analyze(pictures))

    def iter_analyze(self, pictures: Iterable[Picture]) -> Iterator[ImageResult]:
        """Yield what ``analyze_many`` returns, each as soon as it and those before are done.

        Takes from ``pictures`` only a few ahead, so they may come from a generator without end.
        """
        return in_order(self._attempt, pictures, threads=self.threads)

    def _attempt(self, picture: Picture) -> ImageResult:
        try:
            return self.analyze(picture)
        except MienError as error:
            return ImageResult(error=error)


def analyze(
    picture: Picture,
    *,
    min_face_size: int | None = None,
    max_faces: int | None = None,
    labels: LabelSet | str = LabelSet.SIX,
    crop: bool = False,
) -> ImageResult:
    """Return the faces of one picture; options as for Recognizer, models loaded once.

    Raises an ImageError if the picture cannot be used, InvalidParameterError for an option that
    is out of range, ArtifactError if a model file is missing or altered.
    """
    settings, pipeline = _shared()
    recognizer = Recognizer(
        min_face_size=min_face_size,
        max_faces=max_faces,
        labels=labels,
        crop=crop,
        settings=settings,
        pipeline=pipeline,
    )
    return recognizer.analyze(picture)


def in_order(
    work: Callable[[_Item], _Answer], items: Iterable[_Item], *, threads: int
) -> Generator[_Answer, None, None]:
    """Yield ``work(item)`` for each item, in order, from a pool of threads.

    Never more than ``2 * threads`` items are under way or waiting to be yielded.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mien")
    under_way: deque[Future[_Answer]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            while under_way and (len(under_way) >= 2 * threads or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        # Also where the consumer stops early: what has not begun is not wanted any more.
        pool.shutdown(cancel_futures=True)


@functools.cache
def _shared() -> tuple[Settings, Pipeline]:
    settings = Settings.from_environment()
    return settings, build_pipeline(settings)


def _options(
    min_face_size: int | None, max_faces: int | None, labels: LabelSet | str, crop: bool
) -> Options:
    try:
        chosen = LabelSet(labels)
    except ValueError as error:
        known = ", ".join(LabelSet)
        raise InvalidParameterError(f"labels must be one of {known}, not {labels!r}") from error
    return Options(labels=chosen, max_faces=max_faces, min_face_size=min_face_size, crop=crop)
