"""What processes do in place of looking at pictures, for the tests of engines."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mien.deadline import check_deadline
from mien.errors import ArtifactError, MienError, QueueFullError, TruncatedImageError
from mien.http.engines import Analyze
from mien.options import Options
from mien.results import ImageResult


class AwkwardError(MienError):
    """Can be pickled, but not be made again of that."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(f"{message} {why}")


def act(data: bytes, options: Options) -> ImageResult:
    """Do what the words say instead of looking at a picture; say which process did it."""
    verb, *words = data.decode().split()
    actions[verb](*words)
    return ImageResult(width=os.getpid(), height=options.max_faces or 0)


def raise_truncated() -> None:
    raise TruncatedImageError("this picture is cut off")


def raise_full() -> None:
    raise QueueFullError("too many", retry_after_s=7.5)


def raise_awkward() -> None:
    raise AwkwardError("can not be", why="made again")


def raise_locked() -> None:
    error = TruncatedImageError("holds a lock")
    error.lock = threading.Lock()
    raise error


def nap(seconds: str, begun: str | None = None) -> None:
    """Sleep without a look at the deadline. begun: a file that is there from then on."""
    if begun:
        Path(begun).touch()
    time.sleep(float(seconds))


def go_on(begun: str) -> None:
    Path(begun).touch()
    while True:
        check_deadline()
        time.sleep(0.005)


actions: dict[str, Callable[..., object]] = {
    "answer": lambda *_: None,
    "truncated": raise_truncated,
    "full": raise_full,
    "awkward": raise_awkward,
    "locked": raise_locked,
    "divide": lambda: 1 / 0,
    "exit": lambda: sys.exit(3),
    "nap": nap,
    "go-on": go_on,
}


def build() -> Analyze:
    return act


def build_slowly_from_the_third_on(folder: Path) -> Analyze:
    (folder / str(os.getpid())).touch()
    if len(list(folder.iterdir())) > 2:
        time.sleep(3)
    return act


def build_without_sense() -> Analyze:
    raise ZeroDivisionError("makes no sense")


def build_without_model() -> Analyze:
    raise ArtifactError("can't read the model file x.onnx")
