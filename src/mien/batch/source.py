"""The images of a folder, a glob or a manifest, always in the same order."""

import csv
import glob
import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from mien.batch.storage import files_below, is_folder, is_uri, opened
from mien.batch.table import parquet
from mien.errors import InvalidParameterError

__all__ = ["IMAGE_SUFFIXES", "OnSkip", "fixed_part", "images_of"]

# Called with the path of a skipped file or folder and the reason.
OnSkip = Callable[[str, str], None]

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .avif .heic .heif".split()  # noqa: SIM905
)
# What cameras, scanners and phones write, so that a skipped file is reported by its format.
_FORMATS = {
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dng"), "camera raw"),
    **dict.fromkeys((".jp2", ".j2k", ".jxl", ".psd", ".svg", ".ico"), "image format not read"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp", ".mts"), "video"),
}
# Thumbnails, deleted files and snapshots of Synology, QNAP, Windows, macOS and Linux.
_SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin"}
    | {"system volume information", "__macosx", "lost+found"}
)
_HIDDEN = "hidden or system"
_LISTED = "linked, listed elsewhere"
_NO_FILE = "pipe, socket or device"

_MANIFESTS = frozenset({".csv", ".tsv", ".parquet", ".txt"})
_COLUMNS = ("path", "uri")
# Columns of a table that mien batch has written.
_OF_RESULTS = frozenset({"face", "error_code"})
_DELIMITERS = (",", ";", "\t")
# Lines before the header of a CSV file: empty ones, comments and Excel's own.
_PREAMBLE = re.compile(r"\s*($|#)|sep=")
# Windows Explorer copies paths in quotes.
_QUOTED = re.compile(r'^"(.*)"$')
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def images_of(source: str, on_skip: OnSkip | None = None) -> Iterator[str]:
    """Yield the paths of the images that a source names.

    Args:
        source: A folder, a glob or a manifest. Folders and manifests may be URIs of an object
            store.
            Folder: the files in and below it whose names end with one of ``IMAGE_SUFFIXES``. Linked
            folders are followed once. Hidden and system files, pipes and devices are skipped.
            Glob (``**`` for any depth): every matching file outside of system folders.
            Manifest: the paths that it lists, relative to its folder. Repeated paths are kept. It
            is a ``.csv``, ``.tsv`` or ``.parquet`` file with a column ``path`` or ``uri``, or a
            ``.txt`` file with one path per line. Comments may precede the header of a text table.
            Pipes and devices are skipped.
        on_skip: Called for every file and folder that is skipped.

    Raises:
        InvalidParameterError: The source is none of these or cannot be read.
    """
    on_skip = on_skip or _ignore
    if is_uri(source):
        return _in_store(source, on_skip)
    path = Path(source)
    # Path's methods raise OSErrors, such as that of a name that is too long.
    if os.path.isdir(path):  # noqa: PTH112
        return _in_folder(path, on_skip)
    if os.path.isfile(path):  # noqa: PTH113
        if path.suffix.lower() not in _MANIFESTS:
            raise InvalidParameterError(
                f"{source} is a single file: give a folder, a glob or a manifest "
                f"({', '.join(sorted(_MANIFESTS))}); for single images use mien analyze"
            )
        return _listed(source, path.suffix, lambda: path.open("rb"), on_skip)
    if glob.has_magic(source):
        return _matching(source)
    raise InvalidParameterError(f"{source}: no such folder, glob or manifest")


def _ignore(_path: str, _reason: str) -> None:
    """Ignore a skipped file."""


def fixed_part(source: str) -> str:
    """Return the folder of a manifest, that of a glob before its first wildcard, or a URI."""
    if is_uri(source) and Path(source).suffix.lower() not in _MANIFESTS:
        return source
    parts = Path(source).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(Path(*parts[:fixed])) if fixed else "."


def _in_store(source: str, on_skip: OnSkip) -> Iterator[str]:
    suffix = Path(source).suffix.lower()
    try:
        if suffix in _MANIFESTS:
            files, path = opened(source)
            return _listed(source, suffix, lambda: files.open_input_file(path), on_skip)
        if not is_folder(source):
            raise InvalidParameterError(f"{source}: no such folder or manifest")
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"{source} cannot be read") from error
    return _in_folder_of_store(source, on_skip)


def _in_folder_of_store(source: str, on_skip: OnSkip) -> Iterator[str]:
    try:
        for place, relative in files_below(source):
            if _is_image(place, Path(relative).parts, on_skip):
                yield place
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"{source} cannot be listed") from error


def _in_folder(folder: Path, on_skip: OnSkip) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise InvalidParameterError(f"the folder {error.filename} cannot be read") from error

    root, visited = Path(os.path.realpath(folder)), set[tuple[int, int]]()

    def enters(path: Path) -> bool:
        if _is_system(path.name):
            on_skip(str(path), _HIDDEN)
            return False
        try:
            status, is_link = path.stat(), path.is_symlink()
        except OSError as error:
            raise InvalidParameterError(f"the folder {path} cannot be read") from error
        # A link into the source leads to files that are listed anyway, or to a cycle.
        inside = is_link and Path(os.path.realpath(path)).is_relative_to(root)
        if inside or (status.st_dev, status.st_ino) in visited:
            on_skip(str(path), _LISTED)
            return False
        visited.add((status.st_dev, status.st_ino))
        return True

    status = root.stat()
    visited.add((status.st_dev, status.st_ino))
    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in sorted(folders) if enters(Path(here) / name)]
        for name in sorted(names):
            path = str(Path(here) / name)
            if not _is_image(path, (name,), on_skip):
                continue
            if _is_device(path):
                on_skip(path, _NO_FILE)
            else:
                yield path


def _is_device(path: str) -> bool:
    """Return whether a path is something that never ends, such as a named pipe."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        # A broken link is an image that cannot be read.
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_image(path: str, parts: Sequence[str], on_skip: OnSkip) -> bool:
    """Return whether a file counts as an image; ``parts``: those of its path below the source."""
    suffix = Path(path).suffix.lower()
    if any(map(_is_system, parts)):
        on_skip(path, _HIDDEN)
    elif suffix in IMAGE_SUFFIXES:
        return True
    else:
        on_skip(path, f"{suffix or 'no suffix'} ({_FORMATS.get(suffix, 'not an image format')})")
    return False


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def _matching(pattern: str) -> Iterator[str]:
    # Path.glob does not accept absolute patterns.
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207
    yield from sorted(
        path
        for path in found
        if os.path.isfile(path)  # noqa: PTH113
        and not any(part.lower() in _SYSTEM_FOLDERS for part in Path(path).parts)
    )


def _listed(
    manifest: str, suffix: str, opening: Callable[[], IO[bytes]], on_skip: OnSkip
) -> Iterator[str]:
    folder = manifest.rpartition("/")[0] if is_uri(manifest) else Path(manifest).parent
    empty = True
    try:
        with opening() as file, closing(_READER_OF[suffix.lower()](file, manifest)) as paths:  # type: ignore[type-var]
            for path in paths:
                empty = False
                if is_uri(path):
                    yield path
                elif isinstance(folder, str):
                    yield f"{folder}/{path}"
                elif _is_device(local := str(folder / path)):
                    on_skip(local, _NO_FILE)
                else:
                    yield local
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{manifest}: the manifest cannot be read") from error
    if empty:
        raise InvalidParameterError(f"{manifest}: the manifest lists no image")


def _csv(file: IO[bytes], manifest: str) -> Iterator[str]:
    with _text(file) as text:
        lines = _checked(text, manifest)
        header = next((line for line in lines if _is_header(line)), "")
        headers = {each: next(csv.reader([header], delimiter=each), []) for each in _DELIMITERS}
        delimiter = max(headers, key=lambda each: (_has_column(headers[each]), len(headers[each])))
        column = _column(headers[delimiter], manifest)
        # Only if the header has spaces after delimiters: file names may begin with spaces.
        spaced = any(name.startswith(" ") for name in headers[delimiter][1:])
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced):
            if column < len(row) and row[column]:
                yield row[column]


def _parquet(file: IO[bytes], manifest: str) -> Iterator[str]:
    with parquet().ParquetFile(file) as table:
        names = table.schema_arrow.names
        for batch in table.iter_batches(columns=[names[_column(names, manifest)]]):
            yield from (str(path) for path in batch.column(0).to_pylist() if path)


def _lines(file: IO[bytes], manifest: str) -> Iterator[str]:
    with _text(file) as lines:
        for line in _checked(lines, manifest):
            if path := _QUOTED.sub(r"\1", line.strip()):
                yield path


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    """Return a manifest's text: UTF-16 with a byte order mark, else UTF-8 with or without one."""
    start = file.read(2)
    file.seek(0)
    encoding = "utf-16" if start in _UTF16_MARKS else "utf-8-sig"
    # File names need not be UTF-8; UTF-16 has no bytes that Python could keep so.
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")


def _checked(lines: io.TextIOWrapper, manifest: str) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise InvalidParameterError(
                f"{manifest}: the manifest must be UTF-8, or UTF-16 with a byte order mark"
            )
        yield line


def _is_header(line: str) -> bool:
    # A column may be named "#".
    return not _PREAMBLE.match(line) or _has_column(re.split(r"[,;\t]", line))


def _has_column(names: Sequence[str]) -> bool:
    return any(name.strip().lower() in _COLUMNS for name in names)


def _column(names: Sequence[str], manifest: str) -> int:
    if not _has_column(names):
        raise InvalidParameterError(
            f"{manifest}: the manifest needs a column named path or uri; it has: "
            f"{', '.join(names) or 'none'}. Columns may be separated by comma, semicolon or tab"
        )
    found = [name.strip().lower() for name in names]
    if _OF_RESULTS.issubset(found):
        raise InvalidParameterError(
            f"{manifest} is a table of results, which has a row for each face; give its source, or "
            "a list of images"
        )
    return next(found.index(column) for column in _COLUMNS if column in found)


_READER_OF: Mapping[str, Callable[[IO[bytes], str], Iterator[str]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".txt": _lines,
}
