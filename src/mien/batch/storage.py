"""Files and folders by path or URI: on this machine, or in an object store."""

import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from mien.errors import InvalidParameterError
from mien.files import complete_file

__all__ = [
    "Folder",
    "files_below",
    "is_folder",
    "is_uri",
    "is_web_address",
    "open_folder",
    "opened",
    "read",
]

_MARK = "://"
_WEB = ("http://", "https://", "ftp://")
# Readers of Parquet ignore names that begin like this.
_UNFINISHED = "_unfinished-"


def is_uri(place: str) -> bool:
    """Return whether a place is a URI, such as ``s3://bucket/photos``, rather than a path."""
    return _MARK in place


def is_web_address(place: str) -> bool:
    """Return whether a place is an HTTP(S) or FTP address; images are not downloaded."""
    return place.lower().startswith(_WEB)


def read(place: str) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: It cannot be read.
        InvalidParameterError: See ``opened``.
    """
    files, path = opened(place)
    with files.open_input_stream(path) as stream:
        data: bytes = stream.read()
        return data


def is_folder(place: str) -> bool:
    """Return whether a folder exists. Raises as ``read`` does."""
    files, path = opened(place)
    return bool(files.get_file_info(path).type == import_module("pyarrow.fs").FileType.Directory)


def files_below(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (place, path relative to the folder) of all files below a folder, sorted.

    Raises as ``read`` does.
    """
    files, path = opened(folder)
    selector = import_module("pyarrow.fs").FileSelector(path, recursive=True)
    found = (entry.path for entry in files.get_file_info(selector) if entry.is_file)
    for at in sorted(found):
        relative = posixpath.relpath(at, path)
        yield f"{folder.rstrip('/')}/{relative}", relative


def opened(uri: str) -> tuple[Any, str]:
    """Return pyarrow's file system of a URI, and the path in it.

    Schemes that pyarrow does not know are opened through fsspec and its package for the scheme.

    Raises:
        InvalidParameterError: There is no file system for it.
    """
    scheme, _, rest = uri.partition(_MARK)
    if is_web_address(uri):
        raise InvalidParameterError(
            f"{uri}: images are not downloaded from web addresses; download it, then give its path"
        )
    root, _, path = rest.partition("/")
    files, base = _root(scheme, root)
    # Only file URIs are percent-encoded (RFC 8089); keys of object stores are literal.
    return files, f"{base.rstrip('/')}/{unquote(path) if scheme == 'file' else path}"


@lru_cache
def _root(scheme: str, root: str) -> tuple[Any, str]:
    try:
        library = import_module("pyarrow.fs")
    except ImportError as error:
        raise InvalidParameterError(f"{scheme}{_MARK} needs: pip install 'mien[batch]'") from error
    try:
        files, base = library.FileSystem.from_uri(f"{scheme}{_MARK}{root or '/'}")
    except (ValueError, OSError):
        try:
            specified = import_module("fsspec").filesystem(scheme)
        except (ImportError, ValueError, OSError) as error:
            raise InvalidParameterError(
                f"{scheme}{_MARK} needs fsspec and its package for {scheme}"
            ) from error
        files, base = library.PyFileSystem(library.FSSpecHandler(specified)), root
    return files, base


class Folder:
    """A folder on this machine. Every file is complete or absent, even if a writer is killed.

    Names may contain slashes. All methods raise OSError.

    Attributes:
        place: The path or URI as the user gave it; the folder need not exist.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._path = Path(place).absolute()

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self._path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a file."""
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{_UNFINISHED}{uuid4().hex}-{target.name}")
        with complete_file(target, unfinished):
            unfinished.write_bytes(data)

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        return (self._path / name).is_file()

    def names(self, below: str = "") -> list[str]:
        """Return the sorted names of the files in this folder, or in one below it."""
        found = (name for name, is_file in self._entries(below) if is_file)
        return sorted(name for name in found if not name.startswith(_UNFINISHED))

    def holds_other_than(self, name: str) -> bool:
        """Return whether the folder holds anything besides an entry ``name``."""
        return any(found != name for found, _ in self._entries())

    def remove(self, names: Iterable[str]) -> None:
        """Delete files that exist."""
        for name in names:
            (self._path / name).unlink(missing_ok=True)

    def clear(self, below: str) -> None:
        """Delete a folder below this one with all its content, if it exists."""
        # Windows cannot delete open files, such as the lock.
        shutil.rmtree(self._path / below, ignore_errors=True)

    def remove_if_empty(self, below: str = "") -> None:
        """Delete this folder, or one below it, unless something is in it."""
        with suppress(OSError):
            (self._path / below).rmdir()

    def sweep(self) -> None:
        """Delete files that killed writers left unfinished."""
        self.remove(name for name, _ in self._entries() if name.startswith(_UNFINISHED))

    def _entries(self, below: str = "") -> list[tuple[str, bool]]:
        """Return the name of each entry, and whether it is a file; empty if there is no folder."""
        try:
            with os.scandir(self._path / below) as entries:
                return [(entry.name, entry.is_file()) for entry in entries]
        except FileNotFoundError:
            return []


class _StoreFolder(Folder):
    """A folder in an object store, through pyarrow."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._files, self._root = opened(place)

    def __reduce__(self) -> tuple[Any, ...]:
        # Connections are not pickled.
        return _StoreFolder, (self.place,)

    def read(self, name: str) -> bytes:
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            data: bytes = stream.read()
            return data

    def write(self, name: str, data: bytes) -> None:
        target = f"{self._root}/{name}"
        above, _, last = target.rpartition("/")
        self._files.create_dir(above, recursive=True)
        unfinished = f"{above}/{_UNFINISHED}{uuid4().hex}-{last}"
        with self._files.open_output_stream(unfinished) as stream:
            stream.write(data)
        self._files.move(unfinished, target)

    def has(self, name: str) -> bool:
        return bool(self._files.get_file_info(f"{self._root}/{name}").is_file)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self._files.delete_file(f"{self._root}/{name}")

    def clear(self, below: str) -> None:
        path = f"{self._root}/{below}"
        self._files.delete_dir_contents(path, missing_dir_ok=True)
        if self._exists(path):
            self._files.delete_dir(path)

    def remove_if_empty(self, below: str = "") -> None:
        path = f"{self._root}/{below}" if below else self._root
        if not self._entries(below) and self._exists(path):
            self._files.delete_dir(path)

    def _exists(self, path: str) -> bool:
        kind = self._files.get_file_info(path).type
        return bool(kind != import_module("pyarrow.fs").FileType.NotFound)

    def _entries(self, below: str = "") -> list[tuple[str, bool]]:
        path = f"{self._root}/{below}" if below else self._root
        selector = import_module("pyarrow.fs").FileSelector(path, allow_not_found=True)
        found = self._files.get_file_info(selector)
        return [(entry.base_name, entry.is_file) for entry in found]


def open_folder(place: str) -> Folder:
    """Return the folder at a path or URI; it need not exist.

    Raises:
        InvalidParameterError: There is no file system for the URI.
    """
    return _StoreFolder(place) if is_uri(place) else Folder(place)
