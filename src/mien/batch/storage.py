"""Files by path or URI: of this machine, or of an object store."""

import os
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from mien.errors import InvalidParameterError

__all__ = ["Folder", "files_below", "is_folder", "is_uri", "opened", "read"]

_MARK = "://"
# To fetch from strangers is another trade, with its own manners: that is left to other tools.
_WEB = frozenset({"http", "https", "ftp"})
_UNFINISHED = "_unfinished-"


def is_uri(place: str) -> bool:
    """Say whether a place is a URI, such as ``s3://bucket/photos``, not a path."""
    return _MARK in place


def read(place: str) -> bytes:
    """Return what is in a file. Raises OSError, or InvalidParameterError as ``opened`` does."""
    files, path = opened(place)
    with files.open_input_stream(path) as stream:
        data: bytes = stream.read()
        return data


def is_folder(place: str) -> bool:
    """Say whether there is such a folder. Raises as ``read`` does."""
    files, path = opened(place)
    return bool(files.get_file_info(path).type == import_module("pyarrow.fs").FileType.Directory)


def files_below(folder: str) -> Iterator[str]:
    """Yield the places of all files in a folder and below, in order. Raises as ``read`` does."""
    files, path = opened(folder)
    selector = import_module("pyarrow.fs").FileSelector(path, recursive=True)
    found = (entry.path for entry in files.get_file_info(selector) if entry.is_file)
    for at in sorted(found):
        yield f"{folder.rstrip('/')}/{os.path.relpath(at, path)}"


def opened(place: str) -> tuple[Any, str]:
    """Return pyarrow's file system for a place, and the path in it.

    What pyarrow does not know itself comes from fsspec, where its package for it is installed.
    Raises InvalidParameterError for a place that can't be had.
    """
    if not is_uri(place):
        return _filesystems().LocalFileSystem(), str(Path(place).absolute())
    scheme, _, rest = place.partition(_MARK)
    root, _, path = rest.partition("/")
    files, base = _root(scheme, root)
    # The keys of object stores are written as they are.
    return files, f"{base.rstrip('/')}/{unquote(path) if scheme == 'file' else path}"


@lru_cache
def _root(scheme: str, root: str) -> tuple[Any, str]:
    if scheme in _WEB:
        raise InvalidParameterError("photos are not fetched from the web; download them first")
    library = _filesystems()
    try:
        files, base = library.FileSystem.from_uri(f"{scheme}{_MARK}{root or '/'}")
    except (ValueError, OSError):
        try:
            specified = import_module("fsspec").filesystem(scheme)
        except (ImportError, ValueError, OSError) as error:
            raise InvalidParameterError(
                f"{scheme}{_MARK} needs fsspec and its package for it"
            ) from error
        files, base = library.PyFileSystem(library.FSSpecHandler(specified)), root
    return files, base


def _filesystems() -> Any:
    try:
        return import_module("pyarrow.fs")
    except ImportError as error:
        raise InvalidParameterError("this needs: pip install 'mien[batch]'") from error


class Folder:
    """A folder whose files are there whole or not at all, whoever is killed while writing them.

    place: its path or URI. Names may have slashes. All methods raise OSError.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._files, self._path = opened(place)

    def __getstate__(self) -> str:
        # Connections do not travel.
        return self.place

    def __setstate__(self, place: str) -> None:
        self.__init__(place)  # type: ignore[misc]

    def read(self, name: str) -> bytes:
        """Return what is in a file."""
        with self._files.open_input_stream(f"{self._path}/{name}") as stream:
            data: bytes = stream.read()
            return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file; one that is there is replaced."""
        target = f"{self._path}/{name}"
        above, _, last = target.rpartition("/")
        self._files.create_dir(above, recursive=True)
        # Readers of Parquet leave out names that begin so.
        unfinished = f"{above}/{_UNFINISHED}{uuid4().hex}-{last}"
        with self._files.open_output_stream(unfinished) as stream:
            stream.write(data)
        self._files.move(unfinished, target)

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return bool(self._files.get_file_info(f"{self._path}/{name}").is_file)

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files in this folder, or in one below, without those below it."""
        path = f"{self._path}/{below}" if below else self._path
        selector = import_module("pyarrow.fs").FileSelector(path, allow_not_found=True)
        found = [entry.base_name for entry in self._files.get_file_info(selector) if entry.is_file]
        return sorted(name for name in found if not name.startswith(_UNFINISHED))

    def clear(self, below: str = "") -> None:
        """Delete this folder, or one below, with all that is in it, if it is there."""
        path = f"{self._path}/{below}" if below else self._path
        self._files.delete_dir_contents(path, missing_dir_ok=True)
        if self._files.get_file_info(path).type != import_module("pyarrow.fs").FileType.NotFound:
            self._files.delete_dir(path)

    def sweep(self) -> None:
        """Delete what was left unfinished by those who were killed."""
        selector = import_module("pyarrow.fs").FileSelector(self._path, allow_not_found=True)
        for entry in self._files.get_file_info(selector):
            if entry.base_name.startswith(_UNFINISHED):
                self._files.delete_file(entry.path)
