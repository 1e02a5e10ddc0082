"""Metrics for Prometheus, counted over all server processes."""

import os
from collections.abc import Iterable
from dataclasses import asdict
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

from mien.results import ImageResult
from mien.server.errors import PROBLEMS
from mien.workers import Outcome

__all__ = ["FOLDER_VARIABLE", "Metrics"]

# The library reads it when it is first imported: processes that share their counts are started
# with it.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FACES = (0, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one process. With ``folder``, server processes share theirs in it.

    Label values are never chosen freely by clients: unknown values become ``other``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "http_request_duration_seconds",
            "From the headers of a request to the end of its response",
            ("method", "route", "status"),
            buckets=_REQUEST_S,
            registry=registry,
        )
        self._rejections = Counter(
            "mien_rejections",
            "Requests, images of batches and live frames that got an error, by error code",
            ("reason",),
            registry=registry,
        )
        for code in PROBLEMS:
            # So that rates can be computed from the first error on.
            self._rejections.labels(code)
        self._stages = Histogram(
            "mien_stage_duration_seconds",
            "Time of one image, by stage: decode, detect, classify",
            ("stage",),
            buckets=_STAGE_S,
            registry=registry,
        )
        self._queue_wait = Histogram(
            "mien_queue_wait_seconds",
            "How long an image waited for a worker",
            buckets=_STAGE_S,
            registry=registry,
        )
        self._batch_size = Histogram(
            "mien_batch_size",
            "Faces of one image",
            buckets=_FACES,
            registry=registry,
        )
        self._images = Counter("mien_images", "Images that were analyzed", registry=registry)
        self._faces = Counter("mien_faces_found", "Faces in these images", registry=registry)
        self._model = Gauge(
            "mien_model_info",
            "What is running; always 1",
            ("version", "detector", "model"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.in_flight = self._live(
            "http_requests_in_flight", "Requests without a complete response"
        )
        self.queue_depth = self._live("mien_queue_depth", "Images that wait for a worker")
        self.queue_capacity = self._live("mien_queue_capacity", "How many of them may wait")
        self.live_connections = self._live("mien_live_connections", "Open live connections")
        self.videos = self._live("mien_videos", "Videos that are being analyzed")
        self.pending_bytes = self._live(
            "mien_pending_bytes", "Bytes of bodies that are arriving, waiting or being analyzed"
        )
        if folder is None:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def _live(self, name: str, description: str) -> Gauge:
        """Return a gauge that is summed over all running processes."""
        return Gauge(name, description, registry=self._registry, multiprocess_mode="livesum")

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is the declared path, such as ``/emotion``."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).observe(seconds)

    def count_rejections(self, codes: Iterable[str]) -> None:
        """Count errors that clients got."""
        for code in codes:
            self._rejections.labels(code).inc()

    def count_images(self, outcomes: Iterable[Outcome[ImageResult]]) -> None:
        """Count images, and how long each stage took."""
        for outcome in outcomes:
            self._queue_wait.observe(outcome.queued_s)
            if not isinstance(outcome.result, ImageResult):
                continue
            seconds, faces = outcome.result.seconds, len(outcome.result.faces)
            self._images.inc()
            self._faces.inc(faces)
            self._batch_size.observe(faces)
            for stage, stage_s in asdict(seconds).items():
                self._stages.labels(stage).observe(stage_s)

    def record_model(self, *, version: str, detector: str, model: str) -> None:
        """Record what is running."""
        self._model.labels(version, detector, model).set(1)

    def close(self) -> None:
        """Remove this process from the sums over live processes."""
        if self._folder is not None:
            mark_process_dead(os.getpid(), str(self._folder))  # type: ignore[no-untyped-call]

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format of the Accept header, and its content type."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version in the header is not a number
            encode, content_type = choose_encoder("")
        return encode(registry), content_type
