"""Output files that get their names only when they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["complete_file"]


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yield the path to write to; rename that file to ``path`` at the end, or delete it on errors.

    Raises:
        OSError: The file can't be renamed.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
