"""A browser and a service with its real models, for the tests of the page."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from http_process import service
from pages import opened
from programs import needs
from samples import encode


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    needs("chromium")
    with service() as address:
        yield address


@pytest.fixture(scope="session")
def group(astronaut: NDArray[np.uint8]) -> bytes:
    """Three faces beside each other."""
    return encode(Image.fromarray(np.hstack([astronaut] * 3)), "JPEG", quality=85)


@pytest.fixture(scope="session")
def crowd(astronaut: NDArray[np.uint8]) -> bytes:
    """Ten faces in two rows."""
    row = np.hstack([astronaut, astronaut[:, ::-1]] * 2 + [astronaut])
    return encode(Image.fromarray(np.vstack([row, row[:, ::-1]])), "JPEG", quality=85)


@pytest.fixture(scope="session")
def grey() -> bytes:
    """A photo without a face."""
    return encode(Image.new("RGB", (300, 200), "grey"), "JPEG")


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]
) -> Iterator[Browser]:
    """With a camera that shows the astronaut, moving a little."""
    recording = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    moving = [np.roll(astronaut, shift, axis=1) for shift in (0, 4, 8, 12, 8, 4)]
    frames = [encode(Image.fromarray(frame), "JPEG", quality=85) for frame in moving]
    recording.write_bytes(b"".join(frames))
    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={recording}",
    ]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=needs("chromium"), args=flags)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page
