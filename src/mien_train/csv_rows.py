"""Rows of CSV files, checked: FER2013, FER+ and labels of faces."""

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from mien_train.errors import TrainingError

__all__ = ["csv_rows"]


def csv_rows(path: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with its number, as an editor counts it; ``.gz`` files are decompressed.

    Raises TrainingError naming the file if it cannot be read or lacks a column, or a row has more
    or fewer values than the header.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        # Excel writes a byte order mark.
        with (
            opener(path, "rb") as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text,
        ):
            reader = csv.DictReader(text)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise TrainingError(
                    f"{path}, row 1: missing columns {sorted(missing)}; commas separate columns"
                )
            for row in reader:
                # DictReader keeps what is too much under None, and fills up with None.
                if None in row or None in row.values():
                    raise TrainingError(
                        f"{path}, row {reader.line_num}: it has not as many values as the header"
                    )
                yield reader.line_num, row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} can't be read: {error}") from error
