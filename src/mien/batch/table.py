"""Tables of results as Parquet, CSV or JSON lines: written and read row by row."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from mien.errors import InvalidParameterError
from mien.results import Cell

__all__ = ["SUFFIXES", "check_suffix", "parquet", "read_rows", "write_table"]

Row = Sequence[Cell]

# Rows that are held at once, and the size of Parquet's row groups.
_GROUP = 20_000
_WHOLE_NUMBERS = frozenset(
    {"width", "height", "face", "x", "y", "box_width", "box_height", "frame", "person"}
)
_TIME = "time_s"  # in a long clip single precision would lose frames
_TEXTS = frozenset({"path", "emotion", "error_code", "error_message"})


def parquet() -> Any:
    """Return pyarrow's module. Raises InvalidParameterError where it is not installed."""
    try:
        import_module("pyarrow")
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidParameterError("Parquet needs: pip install 'mien[batch]'") from error


def check_suffix(path: Path) -> None:
    """Raise InvalidParameterError if no table is written to, or read from, such a file."""
    if path.suffix.lower() not in _WRITERS:
        raise InvalidParameterError(f"{path}: a table is a file named {', '.join(_WRITERS)}")
    if path.suffix.lower() == ".parquet":
        parquet()


def write_table(path: Path, suffix: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table. suffix: of the format, such as ``.csv``. Raises OSError."""
    _WRITERS[suffix](path, columns, rows)


def read_rows(path: Path) -> Iterator[dict[str, Cell]]:
    """Yield the rows of a table, with None for empty cells and numbers as numbers.

    A folder of Parquet files is one table, in the order of their names.
    Raises InvalidParameterError if the file can't be read or is none.
    """
    if path.is_dir():
        parts = sorted(path.glob("[!_.]*.parquet"))
        if not parts:
            raise InvalidParameterError(f"{path}: a folder without Parquet files is no table")
        for part in parts:
            yield from read_rows(part)
        return
    check_suffix(path)
    try:
        yield from _READERS[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise InvalidParameterError(f"{path}: there is no such file") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidParameterError(f"{path}: no table that can be read") from error


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    # File names need not be text: what is no UTF-8 comes back with os.fsencode.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_jsonl(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            print(json.dumps(dict(zip(columns, row, strict=True))), file=file)


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    library, arrow = parquet(), import_module("pyarrow")
    types = {
        name: arrow.int32()
        if name in _WHOLE_NUMBERS
        else arrow.string()
        if name in _TEXTS
        else arrow.float64()
        if name == _TIME
        else arrow.float32()
        for name in columns
    }
    schema = arrow.schema(list(types.items()))
    rows = iter(rows)
    with library.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            cells = zip(*group, strict=True)
            arrays = [
                arrow.array([_as_text(cell) for cell in column], kind)
                for column, kind in zip(cells, types.values(), strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _as_text(cell: Cell) -> Cell:
    """Return a cell as Parquet's UTF-8 can hold it: what is not text with escapes."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return cell


def _read_csv(path: Path) -> Iterator[dict[str, Cell]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        for row in csv.DictReader(file):
            yield {name: _cell(name, text) for name, text in row.items()}


def _cell(name: str, text: str) -> Cell:
    if not text:
        return None
    if name in _TEXTS:
        return text
    return int(text) if name in _WHOLE_NUMBERS else float(text)


def _read_jsonl(path: Path) -> Iterator[dict[str, Cell]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a row is an object")
            yield row


def _read_parquet(path: Path) -> Iterator[dict[str, Cell]]:
    with parquet().ParquetFile(path) as file:
        for batch in file.iter_batches(_GROUP):
            yield from batch.to_pylist()


_WRITERS: Mapping[str, Callable[[Path, Sequence[str], Iterable[Row]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}
_READERS: Mapping[str, Callable[[Path], Iterator[dict[str, Cell]]]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
SUFFIXES = tuple(_WRITERS)
