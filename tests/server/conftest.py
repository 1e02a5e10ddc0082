import logging
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app


@pytest.fixture
def photo() -> bytes:
    return encoded_image()


@pytest.fixture
def detector() -> FakeDetector:
    return FakeDetector()


@pytest.fixture
def client(detector: FakeDetector) -> Iterator[TestClient]:
    app, _ = fake_app(detector, max_upload_bytes=200_000, max_batch_images=3, max_pixels=1_000_000)
    with TestClient(app) as client:
        yield client


@pytest.fixture(autouse=True)
def _log_levels(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, logger="mien")
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    # A server in this process writes to what was its stderr: the test's own, and soon closed.
    for handler in [*root.handlers]:
        if handler not in before:
            root.removeHandler(handler)
