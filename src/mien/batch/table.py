"""Tables of results as Parquet, CSV or JSON lines."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import InvalidParameterError
from mien.results import Cell

__all__ = ["SUFFIXES", "check_suffix", "parquet", "read_records", "read_rows", "write_table"]

# A row, or for JSON lines any object.
Record = Mapping[str, Any]

# Rows in memory at once, and in a row group of Parquet.
_GROUP = 20_000
_WHOLE_NUMBERS = frozenset(
    {"width", "height", "turn", "face", "x", "y", "box_width", "box_height", "frame", "person"}
)
_TEXTS = frozenset({"path", "emotion", "error_code", "error_message"})
_BOX = ("x", "y", "box_width", "box_height")


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


def check_suffix(path: Path) -> None:
    """Check that the file name of a table has a known suffix.

    Raises:
        InvalidParameterError: It does not, or the format's library is not installed.
    """
    if path.suffix.lower() not in _WRITERS:
        raise InvalidParameterError(
            f"{path}: the name of a table must end with {', '.join(_WRITERS)}"
        )
    if path.suffix.lower() == ".parquet":
        parquet()


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
        suffix: Of the format, such as ``.csv``.
        columns: In order. JSON lines hold the keys of each record instead.
        rows: In order.
        byte_order_mark: Begin a CSV file with one, as Excel needs it for UTF-8.

    Raises:
        OSError: The file cannot be written.
    """
    if byte_order_mark:
        _write_csv(path, columns, rows, encoding="utf-8-sig")
    else:
        _WRITERS[suffix](path, columns, rows)


def read_rows(path: Path) -> Iterator[dict[str, Cell]]:
    """Yield the rows of a table, one for each face, with None for empty cells.

    Args:
        path: The file, or a folder of Parquet files, which is read in the order of their names.

    Raises:
        InvalidParameterError: It cannot be read.
    """
    for record in read_records(path):
        yield from _rows_of(record)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what was written: rows, or the objects of JSON lines. Else as ``read_rows``."""
    if path.is_dir():
        parts = sorted(path.glob("[!_.]*.parquet"))
        if not parts:
            raise InvalidParameterError(f"{path}: there is no Parquet file in this folder")
        for part in parts:
            yield from read_records(part)
        return
    check_suffix(path)
    try:
        yield from _READERS[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise InvalidParameterError(f"{path}: no such file") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{path}: not a readable {path.suffix} table") from error


def _rows_of(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows for an object of ``ImageResult.to_dict``; yield any other record as it is."""
    if isinstance(record.get("error"), dict):
        error = record["error"]
        yield {
            "path": record["path"],
            "emotion": None,
            "confidence": None,
            "error_code": error["code"],
            "error_message": error["message"],
        }
    elif isinstance(record.get("faces"), list):
        image = {"path": record["path"], "error_code": None, "error_message": None}
        for index, face in enumerate(record["faces"] or [{}]):
            box = dict(zip(_BOX, face.get("bounding_box", ()), strict=False))
            shown = {"emotion": face.get("emotion"), "confidence": face.get("confidence")}
            yield image | box | shown | {"face": index}
    else:
        yield record


def _write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Record], encoding: str = "utf-8"
) -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_jsonl(path: Path, _: Sequence[str], rows: Iterable[Record]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            print(json.dumps(row), file=file)


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Record]) -> None:
    library, arrow = parquet(), import_module("pyarrow")
    schema = arrow.schema([(name, _type(arrow, name)) for name in columns])
    rows = iter(rows)
    with library.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _type(arrow: Any, column: str) -> Any:
    if column in _TEXTS:
        return arrow.string()
    return arrow.int32() if column in _WHOLE_NUMBERS else arrow.float64()


def _read_csv(path: Path) -> Iterator[dict[str, Cell]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        if not reader.fieldnames:
            raise ValueError("no header")
        for row in reader:
            if None in row:
                raise ValueError("more cells than columns")
            yield {name: _cell(name, text) for name, text in row.items()}


def _cell(name: str, text: str) -> Cell:
    if not text:
        return None
    if name in _TEXTS:
        return text
    return int(text) if name in _WHOLE_NUMBERS else float(text)


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
            yield record


def _read_parquet(path: Path) -> Iterator[dict[str, Cell]]:
    with parquet().ParquetFile(path) as file:
        for batch in file.iter_batches(_GROUP):
            yield from batch.to_pylist()


_WRITERS: Mapping[str, Callable[[Path, Sequence[str], Iterable[Record]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}
_READERS: Mapping[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
SUFFIXES = tuple(_WRITERS)
