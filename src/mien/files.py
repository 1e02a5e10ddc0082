"""How files are opened and written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mien.errors import UnreadableFileError

__all__ = ["complete_file", "open_no_wait", "write_new"]


def open_no_wait(path: Path) -> BinaryIO:
    """Open a file for reading without waiting.

    A named pipe without a writer reads as an empty file.

    Raises:
        UnreadableFileError: It can't be opened.
    """
    try:
        return open(path, "rb", opener=_opener)
    except FileNotFoundError as error:
        raise UnreadableFileError("there is no such file") from error
    except (IsADirectoryError, PermissionError) as error:
        # On Windows, folders raise PermissionError, too.
        is_folder = os.path.isdir(path)  # noqa: PTH112 -- Path.is_dir may raise it again
        reason = "this is a folder; give the path of a file" if is_folder else "no permission"
        raise UnreadableFileError(reason) from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError("the file can't be read") from error


def _opener(path: str, flags: int) -> int:
    if os.name != "posix":
        return os.open(path, flags)
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


@contextmanager
def complete_file(path: Path, unfinished: Path | None = None) -> Iterator[Path]:
    """Yield the path to write to; rename that file to ``path`` at the end, or delete it on errors.

    Args:
        path: The file; an existing one is replaced.
        unfinished: The path to write to, in the same folder. None: ``path`` with ``.unfinished``,
            for files that only one process writes.

    Raises:
        OSError: The file can't be saved or renamed.
    """
    unfinished = unfinished or path.with_name(path.name + ".unfinished")
    try:
        yield unfinished
        # Flushed to disk before it replaces a file, so that a power failure cannot leave it empty.
        with unfinished.open("r+b") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Write a new file, completely or not at all.

    Raises:
        OSError: It exists, or cannot be written.
    """
    file = path.open("xb")
    try:
        with file:
            file.write(data)
    except BaseException:
        # After it is closed: Windows cannot delete open files.
        path.unlink()
        raise
