"""How files are opened."""

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_at_once"]


def open_at_once(path: Path) -> BinaryIO:
    """Open a file for reading without waiting.

    A named pipe without a writer reads as an empty file. Raises what ``open`` raises.
    """
    return open(path, "rb", opener=_opener)


def _opener(path: str, flags: int) -> int:
    if os.name != "posix":
        return os.open(path, flags)
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor
