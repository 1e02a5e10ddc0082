"""Shared fixtures, such as a photo with one face."""

import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from programs import omit
from samples import encode

TESTS = Path(__file__).parent
SHARED = TESTS.parents[1] / "shared"
# The folders that `make test` leaves to `make test-all`: slow, or in need of torch, Ray, a browser
# or servers.
SLOW = {
    "browser",
    "cluster",
    "deploy",
    "documents",
    "examples",
    "packaging",
    "parity",
    "peers",
    "robustness",
    "train",
}

# What takes for ever is found, but no test fails because the machine was busy, or by bad luck: the
# same code is tried with the same cases. `make fuzz` draws others, a hundred times as many.
settings.register_profile(
    "unhurried",
    deadline=timedelta(seconds=20),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search",
    settings.get_profile("unhurried"),
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis"),
    max_examples=10_000,
)
settings.load_profile("unhurried")

# A job in the background ignores SIGINT, and one under nohup SIGHUP. The processes that tests start
# would inherit that; a handler in its place is reset to the default when they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=("quick", "slow", "all"), default="all")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what is not of the tier; all that is in a folder belongs to the folder's tier."""
    tier = config.getoption("--tier")
    if tier == "all" or collection_path.parent != TESTS:
        return None
    return (collection_path.name in SLOW) is (tier == "quick") or None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Photos and odd files that developers keep beside the checkout; nobody else has them."""
    if not SHARED.is_dir():
        omit("needs the developers' folder ../shared, which is not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) RGB: Eileen Collins by NASA, in the public domain; one smiling face."""
    return data.astronaut()


@pytest.fixture(scope="session")
def face_photo(astronaut: NDArray[np.uint8]) -> bytes:
    return encode(Image.fromarray(astronaut), "JPEG", quality=92)
