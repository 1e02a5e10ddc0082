"""The photos of a folder, a glob or a manifest, always in the same order."""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

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
    own folder.
    Raises InvalidParameterError if the source is none of these or can't be read.
    """
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix.lower() not in _MANIFESTS:
            raise InvalidParameterError(
                f"{source} is one file; name a folder, a glob or a manifest (.csv, .parquet, .txt)"
            )
        return _listed(path)
    if glob.has_magic(source):
        return _matching(source)
    raise InvalidParameterError(f"{source}: there is no such folder, glob or manifest")


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


def _listed(manifest: Path) -> Iterator[str]:
    reader = {".csv": _csv, ".parquet": _parquet, ".txt": _lines}[manifest.suffix.lower()]
    seen = False
    try:
        for path in reader(manifest):
            seen = True
            yield path if "://" in path else str(manifest.parent / path)
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{manifest}: the manifest can't be read") from error
    if not seen:
        raise InvalidParameterError(f"{manifest}: the manifest lists no photo")


def _csv(manifest: Path) -> Iterator[str]:
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        column = _column(reader.fieldnames or (), manifest)
        yield from (row[column] for row in reader if row[column])


def _parquet(manifest: Path) -> Iterator[str]:
    library = parquet()
    with library.ParquetFile(manifest) as file:
        column = _column(file.schema_arrow.names, manifest)
        for batch in file.iter_batches(columns=[column]):
            yield from (str(path) for path in batch.column(0).to_pylist() if path)


def _lines(manifest: Path) -> Iterator[str]:
    with manifest.open(encoding="utf-8-sig") as file:
        yield from (line.strip() for line in file if line.strip())


def _column(names: Sequence[str], manifest: Path) -> str:
    for column in _COLUMNS:
        if column in names:
            return column
    raise InvalidParameterError(f"{manifest}: a manifest needs a column path or uri")
