import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from mien.classify.preprocess import CropSpec
from mien.deadline import check_deadline
from mien.recognizer import Recognizer
from mien.server.app import create_app
from mien.server.run import socket_options
from mien.settings import Settings
from mien.types import Box, Emotion, Face, Landmarks, RgbImage

POINTS = Landmarks((10, 10), (20, 10), (15, 15), (11, 20), (19, 20))


class FakeDetector:
    """Finds two faces in images of 100 pixels or more, none in smaller ones; optionally slow."""

    def __init__(self) -> None:
        self.received: list[int | None] = []
        self.wait_s = 0.0
        self.endless = False  # as a picture that was made to take for ever
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self.error: Exception | None = None
        self.fail_from = 1  # the first picture that fails with it, counted from 1
        self.lock = threading.Lock()
        self.running = 0
        self.most_running = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Block all analyses until the end of the block."""
        self._may_go_on.clear()
        try:
            yield
        finally:
            self._may_go_on.set()

    def work(self) -> None:
        if self.endless:
            while True:
                check_deadline()
                time.sleep(0.002)
        time.sleep(self.wait_s)
        self._may_go_on.wait()

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.received.append(min_face_size)
        try:
            self.work()
        finally:
            with self.lock:
                self.running -= 1
        if self.error is not None and len(self.received) >= self.fail_from:
            raise self.error
        if image.width < 100:
            return ()
        return tuple(
            Face(
                box=Box(left=at, top=5, right=at + side, bottom=5 + side),
                score=0.9,
                landmarks=POINTS,
            )
            for at, side in ((5, 40), (55, 30))
        )


class Crowd(FakeDetector):
    """Fifty times as many faces, so that lines are long."""

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        return super().detect(image, min_face_size=min_face_size) * 50


class FakeClassifier:
    labels = tuple(Emotion)
    crop = CropSpec(size_px=8)

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.full((len(crops), 8), 0.05, dtype=np.float32)
        rows[:, 0] = 0.65
        return rows


def encoded_image(width: int = 120, height: int = 80, form: str = "JPEG") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (200, 120, 40)).save(buffer, form)
    return buffer.getvalue()


def part(data: bytes = b"x", name: str = "photo.jpg", field: str = "image") -> tuple:
    return (field, (name, data, "image/jpeg"))


def fake_app(
    detector: FakeDetector | None = None, **settings: object
) -> tuple[FastAPI, FakeDetector]:
    detector = detector or FakeDetector()
    chosen = Settings(**{"threads": 2, "processes": False, **settings})
    app = create_app(
        chosen,
        build=lambda: Recognizer(
            detector=detector,
            model=FakeClassifier(),
            min_face_size=chosen.min_face_size,
            max_pixels=chosen.max_pixels,
        ),
    )
    return app, detector


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log message of each request, such as ``POST /emotion 200``."""
    lines = [record for record in caplog.records if record.name == "mien.access"]
    return [f"{line.method} {line.path} {line.status}" for line in lines]


@contextmanager
def running(app: FastAPI, **options: object) -> Iterator[int]:
    """Run a real server in a thread, as ``serve`` does; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    options = {"head_timeout_s": 10.0, "send_timeout_s": 10.0, "keep_alive_s": 60.0, **options}
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        **socket_options(**options),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    """Return all data until the connection is closed."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)
