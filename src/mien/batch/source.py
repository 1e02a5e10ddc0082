"""The photos of a folder, a glob or a manifest, always in the same order."""

import csv
import glob
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from mien.batch.storage import files_below, is_folder, is_uri, opened
from mien.batch.table import parquet
from mien.errors import InvalidParameterError

__all__ = ["photos_of"]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
_MANIFESTS = frozenset({".csv", ".parquet", ".txt"})
_COLUMNS = ("path", "uri")


def photos_of(source: str) -> Iterator[str]:
    """Yield the paths of the photos that a source names.

    A folder gives what is in it and below by the names of picture files, whatever their content; a
    glob (``**`` for any depth) every file that it matches; a manifest, a CSV or Parquet file with a
    column ``path`` or ``uri`` or a text file with one path a line, what it lists, relative to its
    own folder and as often as it does. Folders and manifests may be URIs of an object store.
    Raises InvalidParameterError if the source is none of these or can't be read.
    """
    if is_uri(source):
        return _in_store(source)
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix.lower() not in _MANIFESTS:
            raise InvalidParameterError(
                f"{source} is one file; name a folder, a glob or a manifest (.csv, .parquet, .txt)"
            )
        return _listed(source, path.suffix, lambda: path.open("rb"))
    if glob.has_magic(source):
        return _matching(source)
    raise InvalidParameterError(f"{source}: there is no such folder, glob or manifest")


def _in_store(source: str) -> Iterator[str]:
    suffix = Path(source).suffix.lower()
    try:
        if suffix in _MANIFESTS:
            files, path = opened(source)
            return _listed(source, suffix, lambda: files.open_input_file(path))
        if not is_folder(source):
            raise InvalidParameterError(f"{source}: there is no such folder or manifest")
        found = files_below(source)
        return (place for place in found if Path(place).suffix.lower() in _SUFFIXES)
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"{source} can't be read") from error


def _in_folder(folder: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise InvalidParameterError(f"the folder can't be read: {error.filename}") from error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in _SUFFIXES:
                yield str(Path(here) / name)


def _matching(pattern: str) -> Iterator[str]:
    # Not Path.glob, which takes no pattern from the root of the file system.
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207
    yield from sorted(path for path in found if Path(path).is_file())


def _listed(manifest: str, suffix: str, opening: Callable[[], IO[bytes]]) -> Iterator[str]:
    folder = manifest.rpartition("/")[0] if is_uri(manifest) else Path(manifest).parent
    seen = False
    try:
        with opening() as file, closing(_READERS[suffix.lower()](file, manifest)) as paths:  # type: ignore[type-var]
            for path in paths:
                seen = True
                if is_uri(path):
                    yield path
                else:
                    yield f"{folder}/{path}" if isinstance(folder, str) else str(folder / path)
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{manifest}: the manifest can't be read") from error
    if not seen:
        raise InvalidParameterError(f"{manifest}: the manifest lists no photo")


def _csv(file: IO[bytes], manifest: str) -> Iterator[str]:
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        column = _column(reader.fieldnames or (), manifest)
        yield from (row[column] for row in reader if row[column])


def _parquet(file: IO[bytes], manifest: str) -> Iterator[str]:
    with parquet().ParquetFile(file) as table:
        column = _column(table.schema_arrow.names, manifest)
        for batch in table.iter_batches(columns=[column]):
            yield from (str(path) for path in batch.column(0).to_pylist() if path)


def _lines(file: IO[bytes], _: str) -> Iterator[str]:
    with io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
        yield from (line.strip() for line in lines if line.strip())


def _column(names: Sequence[str], manifest: str) -> str:
    for column in _COLUMNS:
        if column in names:
            return column
    raise InvalidParameterError(f"{manifest}: a manifest needs a column path or uri")


_READERS: Mapping[str, Callable[[IO[bytes], str], Iterator[str]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _lines,
}
