"""Real Rays on this machine, each a process of its own: it leaves nothing in that of the tests."""

import importlib.util
import json
import os
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rays import HERE, running

LIMITS = {"max_pixels": 1_000_000, "max_batch_images": 3, "max_upload_bytes": 200_000}


@pytest.fixture(scope="session", autouse=True)
def _ray() -> None:
    """Skip where ray is not installed, or fail if nothing may be left out."""
    if importlib.util.find_spec("ray") is None:
        assert not os.environ.get("NO_OMISSIONS"), "ray is not installed"
        pytest.skip("needs ray: pip install 'mien[cluster]'")


@pytest.fixture(scope="session", autouse=True)
def _token(_ray: None) -> Iterator[None]:
    """As on a cluster that others can reach: nobody takes part without the token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, Any]]:
    """Two nodes with a core each: the address, and the process ids of their raylets."""
    with running("nodes.py") as program:
        yield program


@pytest.fixture
def doomed() -> Iterator[dict[str, Any]]:
    """Such a cluster for a test that kills a part of it."""
    with running("nodes.py") as program:
        yield program


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of two replicas; below ``/fake`` is one with a fake pipeline."""
    real = LIMITS | {"max_queue": 8, "rate_limit": "10000/minute"}
    with running("serving.py", "2", json.dumps(real), json.dumps(LIMITS)) as program:
        yield program["address"]
