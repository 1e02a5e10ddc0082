"""Tables of results as Parquet, CSV or JSON lines."""

import codecs
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any

from mien.errors import InvalidParameterError
from mien.results import COLUMN_TYPES, Cell, rows_of_object, table_columns

__all__ = [
    "FOLDER_SUFFIX",
    "SUFFIXES",
    "TABLE_FORMATS",
    "TableFormat",
    "format_of",
    "is_failure",
    "parquet",
    "read_records",
    "read_rows",
    "write_table",
]

# A row, or for JSON lines any object.
Record = Mapping[str, Any]

# Rows in memory at once, and in a row group of Parquet.
_GROUP = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """How a table is written to a binary file and read from it.

    Attributes:
        write: Takes the file, the columns in order, and the records in order. JSON lines hold the
            keys of each record instead of the columns.
        read: Yields the records of the file in order, with None for empty cells. Raises OSError,
            ValueError or csv.Error if the file is not such a table.
        check: Raises InvalidParameterError if the format's library is not installed.
        has_objects: ``mien batch`` writes an object of ``ImageResult.to_dict`` for each image, not
            a row for each face.
        may_have_mark: The file may begin with a byte order mark.
    """

    write: Callable[[IO[bytes], Sequence[str], Iterable[Record]], None]
    read: Callable[[IO[bytes]], Iterator[dict[str, Any]]]
    check: Callable[[], object] = lambda: None
    has_objects: bool = False
    may_have_mark: bool = False


def parquet() -> Any:
    """Return pyarrow's module for Parquet.

    Raises:
        InvalidParameterError: It is not installed.
    """
    try:
        import_module("pyarrow")
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidParameterError("Parquet needs: pip install 'mien[batch]'") from error


def format_of(table: Path | None) -> TableFormat:
    """Return the format of a table, by its name.

    Args:
        table: The file; None: a folder of files that end with ``FOLDER_SUFFIX``.

    Raises:
        InvalidParameterError: The suffix is unknown, or the format's library is not installed.
    """
    found = TABLE_FORMATS.get(table.suffix.lower() if table else FOLDER_SUFFIX)
    if found is None:
        known = ", ".join(SUFFIXES)
        raise InvalidParameterError(f"{table}: the name of a table must end with {known}")
    found.check()
    return found


def write_table(
    path: Path,
    suffix: str,
    columns: Sequence[str],
    rows: Iterable[Record],
    *,
    byte_order_mark: bool = False,
) -> None:
    """Write a table.

    Args:
        path: The file; an existing one is replaced.
        suffix: Suffix of the format, such as ``.csv``.
        columns: In order. JSON lines hold the keys of each record instead.
        rows: In order.
        byte_order_mark: Begin the file with one, as Excel needs it for UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("wb") as file:
        if byte_order_mark:
            file.write(codecs.BOM_UTF8)
        TABLE_FORMATS[suffix].write(file, columns, rows)


def read_rows(path: Path) -> Iterator[dict[str, Cell]]:
    """Yield the rows of a table, as ``ImageResult.to_rows`` returns them.

    Rows of JSON lines have only those optional columns for which the face has a key.

    Args:
        path: The file, or a folder of Parquet files, which is read in the order of their names.

    Raises:
        InvalidParameterError: It cannot be read.
        KeyError, TypeError or ValueError: An object of the JSON lines is not a result.
    """
    empty: dict[str, Cell] = dict.fromkeys(table_columns(include=()))
    for record in read_records(path):
        if "faces" in record or "error" in record:
            yield from (empty | row for row in rows_of_object(record))
        else:
            yield record


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what was written: rows, or the objects of JSON lines.

    Args:
        path: As for ``read_rows``.

    Raises:
        InvalidParameterError: It cannot be read.
    """
    if path.is_dir():
        parts = sorted(path.glob(f"[!_.]*{FOLDER_SUFFIX}"))
        if not parts:
            raise InvalidParameterError(f"{path}: there is no {FOLDER_SUFFIX} file in this folder")
        for part in parts:
            yield from read_records(part)
        return
    table_format = format_of(path)
    try:
        with path.open("rb") as file:
            yield from table_format.read(file)
    except FileNotFoundError as error:
        raise InvalidParameterError(f"{path}: no such file") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{path}: not a readable {path.suffix} table") from error


def is_failure(record: Record) -> bool:
    """Return whether a record (row or object) belongs to an image that failed."""
    return bool(record.get("error_code") or record.get("error"))


def _write_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Record]) -> None:
    writer = csv.DictWriter(codecs.getwriter("utf-8")(file), columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _write_jsonl(file: IO[bytes], _: Sequence[str], rows: Iterable[Record]) -> None:
    for row in rows:
        file.write(json.dumps(row).encode("ascii") + b"\n")


def _write_parquet(file: IO[bytes], columns: Sequence[str], rows: Iterable[Record]) -> None:
    library, arrow = parquet(), import_module("pyarrow")
    types = {str: arrow.string(), int: arrow.int32(), float: arrow.float64()}
    schema = arrow.schema([(name, types[COLUMN_TYPES[name]]) for name in columns])
    rows = iter(rows)
    with library.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _read_csv(file: IO[bytes]) -> Iterator[dict[str, Cell]]:
    with TextIOWrapper(file, "utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        if not reader.fieldnames:
            raise ValueError("no header")
        for row in reader:
            if None in row:
                raise ValueError("more cells than columns")
            yield {name: _cell(name, text) for name, text in row.items()}


def _cell(name: str, text: str) -> Cell:
    kind = COLUMN_TYPES.get(name, str)
    # Whole numbers may have been written as 108.0.
    return kind(text.removesuffix(".0") if kind is int else text) if text else None


def _read_jsonl(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    for line in file:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not an object")
        yield record


def _read_parquet(file: IO[bytes]) -> Iterator[dict[str, Cell]]:
    with parquet().ParquetFile(file) as table:
        for batch in table.iter_batches(_GROUP):
            yield from batch.to_pylist()


# By suffix.
TABLE_FORMATS: Mapping[str, TableFormat] = {
    ".parquet": TableFormat(write=_write_parquet, read=_read_parquet, check=parquet),
    ".csv": TableFormat(write=_write_csv, read=_read_csv, may_have_mark=True),
    ".jsonl": TableFormat(write=_write_jsonl, read=_read_jsonl, has_objects=True),
}
SUFFIXES = tuple(TABLE_FORMATS)
FOLDER_SUFFIX = ".parquet"
