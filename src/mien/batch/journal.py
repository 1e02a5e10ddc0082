"""What a run has done so far, in a file that a kill at any moment leaves whole."""

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mien.batch.table import write_table
from mien.errors import InvalidParameterError
from mien.results import Cell

__all__ = ["Journal", "key_of", "lock"]

if sys.platform == "win32":
    import msvcrt

    # Others can't read a locked byte: this is the last that can be locked, past a journal's end.
    _LOCKED_BYTE = 2**31 - 1
else:
    import fcntl


class Journal:
    """One line per photo, beside the table that it will become: ``OUT.journal``.

    The first line says how the run was asked for. A line is a photo's rows; it is written at once
    and as a whole, and one that a kill cut off does not count.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = out.with_name(out.name + ".journal")
        self._file: IO[bytes] | None = None
        self._finished = False

    @contextmanager
    def opened(self, columns: Sequence[str], asked: Mapping[str, Any]) -> Iterator["Journal"]:
        """Begin or go on.

        Raises InvalidParameterError if another run is writing, what is there was asked for in
        another way, or nothing can be written.
        """
        head = json.dumps({"columns": list(columns), "asked": dict(asked)}) + "\n"
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise InvalidParameterError(f"--out: can't write {self.path}") from error
        with self._file:
            lock(self._file, self.path)
            self._file.seek(0)
            begun = self._file.readline()
            if begun.endswith(b"\n"):
                if begun.decode() != head:
                    raise InvalidParameterError(
                        f"{self.path} is of a run with other options: use those, or delete it"
                    )
                self._drop_torn_line()
            else:
                self._file.truncate(0)
                self._append(head)
            yield self
        if self._finished:
            self.path.unlink()

    def done(self) -> Counter[bytes]:
        """Return the keys of the photos that are done, and how often: a list may repeat one."""
        return Counter(key_of(entry["path"]) for entry in self._entries())

    def add(self, path: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Note a photo with its rows. Raises OSError."""
        self._append(json.dumps({"path": path, "rows": rows}) + "\n")

    def rows(self) -> Iterator[list[Cell]]:
        """Yield all rows so far, in the order of the photos."""
        for entry in self._entries():
            yield from entry["rows"]

    def finish(self, columns: Sequence[str]) -> None:
        """Make the table of it: complete or not there at all. Raises OSError."""
        unfinished = self._out.with_name(self._out.name + ".unfinished")
        write_table(unfinished, self._out.suffix.lower(), columns, self.rows())
        unfinished.replace(self._out)
        self._finished = True

    def _entries(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield json.loads(line)

    def _append(self, text: str) -> None:
        assert self._file is not None  # noqa: S101 - it is open while one writes
        self._file.write(text.encode("ascii"))
        self._file.flush()

    def _drop_torn_line(self) -> None:
        assert self._file is not None  # noqa: S101
        size = self._file.seek(0, os.SEEK_END)
        kept = size
        while kept:
            at = max(0, kept - 65_536)
            self._file.seek(at)
            end = self._file.read(kept - at).rfind(b"\n")
            if end >= 0:
                kept = at + end + 1
                break
            kept = at
        if kept < size:
            self._file.truncate(kept)


def key_of(path: str) -> bytes:
    """Return what stands for a photo among those that are done: short, however long its name."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=12).digest()


def lock(file: IO[bytes], path: Path) -> None:
    """Keep other runs out while the file is open; its position may be another afterwards.

    Raises InvalidParameterError in the second run.
    """
    try:
        if sys.platform == "win32":
            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InvalidParameterError(f"another run is writing {path}") from error
