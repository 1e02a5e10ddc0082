"""A lock file that prevents a second run with the same output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mien.errors import InvalidParameterError

__all__ = ["locked"]

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``. It may be deleted meanwhile.

    The system releases the lock of a killed process.

    Raises:
        InvalidParameterError: Another process holds it, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise InvalidParameterError(
            f"--out: cannot write to {path.parents[1]}: {error.strerror}"
        ) from error
    with file:
        try:
            # Both raise one of the two errors below if another process holds the lock.
            if sys.platform == "win32":
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have deleted the file that was opened here.
            current = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (BlockingIOError, PermissionError):
            current = False
        if not current:
            raise InvalidParameterError(
                f"another run is writing {path.parents[1]}: wait for it to end, or choose another "
                "--out"
            )
        yield
    # Windows cannot delete open files, so users of the lock cannot delete it either.
    if sys.platform == "win32" and not any(other != path for other in path.parent.iterdir()):
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()
            path.parents[1].rmdir()
