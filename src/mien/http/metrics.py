"""What the service tells Prometheus: counted once, right over all of its processes."""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from mien.http.problems import PROBLEMS
from mien.http.work import Done
from mien.results import ImageResult

__all__ = ["FOLDER_VARIABLE", "Metrics"]

# The library reads it when it is first imported: processes that share their counts are started
# with it.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FACES = (0, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one process, or with ``folder`` its part of those that all of them keep there.

    Labels hold nothing that callers choose freely: what is not known becomes ``other``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "http_request_duration_seconds",
            "From a request's head to the end of its answer",
            ("method", "route", "status"),
            buckets=_REQUEST_S,
            registry=registry,
        )
        self._rejections = Counter(
            "mien_rejections",
            "Requests, and pictures of batches, that got an error, by its code",
            ("reason",),
            registry=registry,
        )
        for code in PROBLEMS:
            # A rate needs a count to start from.
            self._rejections.labels(code)
        self._stages = Histogram(
            "mien_stage_duration_seconds",
            "Work on one picture, by stage: decode, detect, classify",
            ("stage",),
            buckets=_STAGE_S,
            registry=registry,
        )
        self._queue_wait = Histogram(
            "mien_queue_wait_seconds",
            "How long a picture waited for a thread",
            buckets=_STAGE_S,
            registry=registry,
        )
        self._batch_size = Histogram(
            "mien_batch_size",
            "Faces of one picture, classified together",
            buckets=_FACES,
            registry=registry,
        )
        self._pictures = Counter("mien_pictures", "Pictures that were answered", registry=registry)
        self._faces = Counter("mien_faces_found", "Faces in these pictures", registry=registry)
        self._model = Gauge(
            "mien_model_info",
            "What is running; always 1",
            ("version", "detector", "model"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.in_flight = self._live("http_requests_in_flight", "Requests without a whole answer")
        self.queue_depth = self._live("mien_queue_depth", "Pictures that wait for a thread")
        self.queue_capacity = self._live("mien_queue_capacity", "How many of them may wait")
        self.live_views = self._live("mien_live_views", "Live views that are open")
        self.videos = self._live("mien_videos", "Clips that are being read")
        self.pending_bytes = self._live(
            "mien_pending_bytes", "Bytes of bodies that are arriving, waiting or worked on"
        )
        if folder is None:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def _live(self, name: str, words: str) -> Gauge:
        """Return a gauge that is the sum over all processes that live."""
        return Gauge(name, words, registry=self._registry, multiprocess_mode="livesum")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. route: as it is declared, such as ``/emotion``."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).observe(seconds)

    def count_rejections(self, codes: Iterable[str]) -> None:
        """Count errors that callers got."""
        for code in codes:
            self._rejections.labels(code).inc()

    def count_pictures(self, outcomes: Iterable[Done[ImageResult]]) -> None:
        """Count what came of pictures, and how long each stage took."""
        for done in outcomes:
            self._queue_wait.observe(done.queued_s)
            if not isinstance(done.answer, ImageResult):
                continue
            seconds, faces = done.answer.seconds, len(done.answer.faces)
            self._pictures.inc()
            self._faces.inc(faces)
            self._batch_size.observe(faces)
            for stage in ("decode", "detect", "classify"):
                self._stages.labels(stage).observe(getattr(seconds, stage))

    def tell_model(self, *, version: str, detector: str, model: str) -> None:
        """Say what is running."""
        self._model.labels(version, detector, model).set(1)

    def close(self) -> None:
        """Take this process out of what is the sum over those that live."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), str(self._folder))  # type: ignore[no-untyped-call]

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return everything in the format that the Accept header wants, and its content type."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
