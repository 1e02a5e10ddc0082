"""The service with a pipeline that needs no weights."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from service import stub_pipeline

from mien.config import Settings
from mien.http.app import create_app
from mien.pipeline import Pipeline
from samples import encode

Start = Callable[..., TestClient]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a service: ``start(build=..., **settings)``."""
    opened: list[TestClient] = []

    def begin(
        build: Callable[[Settings], Pipeline] = stub_pipeline, **settings: object
    ) -> TestClient:
        app = create_app(Settings(**settings), build=build)
        client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
        client.__enter__()
        opened.append(client)
        return client

    yield begin
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(Settings(), build=stub_pipeline)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def photo() -> bytes:
    return encode(Image.new("RGB", (120, 90), (120, 130, 140)), "JPEG")


@pytest.fixture(scope="session")
def narrow_photo() -> bytes:
    return encode(Image.new("RGB", (20, 30), (120, 130, 140)), "PNG")
