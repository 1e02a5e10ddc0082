"""Servers and tools from Debian's packages, used by tests as they are."""

import os
import shutil
import socket
from contextlib import closing
from typing import NoReturn

import pytest

posix = pytest.mark.skipif(os.name == "nt", reason="signals and processes are others there")


def omit(reason: str) -> NoReturn:
    """Skip the test, or fail where none may be left out."""
    assert not os.environ.get("NO_OMISSIONS"), reason
    pytest.skip(reason)


def needs(program: str) -> str:
    """Return where a program is; without it the test is skipped, or fails if none may be."""
    path = shutil.which(program)
    if path is None:
        omit(f"{program} is not installed")
    return path


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
