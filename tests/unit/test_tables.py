"""Tables in every format: what is written is read again, with the same types."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.batch.table import SUFFIXES, TABLE_FORMATS, format_of, is_failure, read_rows, write_table
from mien.errors import InvalidParameterError
from mien.options import Include
from mien.results import Cell, Failure, ImageResult, table_columns
from mien.types import Emotion
from samples import make_face

FACES = (make_face(50, 40, 30, 40), make_face(-5, 20, 20, 25, Emotion.SAD))
RESULTS = (
    ImageResult(path="a,b.jpg", width=200, height=100, turn=90, faces=FACES),
    ImageResult(path="ä.jpg", width=200, height=100),
    ImageResult(path="bad.jpg", error=Failure("not_an_image", "this is not an image")),
)
ALL = frozenset(Include)
COLUMNS = table_columns("six", ALL)


def typed(rows: list[dict[str, Cell]]) -> list[list[tuple[str, type, Cell]]]:
    return [[(name, type(cell), cell) for name, cell in row.items()] for row in rows]


def rows_of(results: tuple[ImageResult, ...], include: frozenset[Include]) -> list[dict[str, Cell]]:
    return [row for result in results for row in result.to_rows("six", include)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("results", [(), RESULTS], ids=["empty", "filled"])
def test_rows_are_read_as_they_were_written(
    tmp_path: Path, suffix: str, results: tuple[ImageResult, ...]
) -> None:
    path, rows = tmp_path / f"table{suffix.upper()}", rows_of(results, ALL)
    write_table(path, suffix, COLUMNS, rows)
    assert typed(list(read_rows(path))) == typed(rows)


@pytest.mark.parametrize("suffix", [each for each in SUFFIXES if TABLE_FORMATS[each].may_have_mark])
def test_a_byte_order_mark_changes_no_row(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"table{suffix}", rows_of(RESULTS, ALL)
    write_table(path, suffix, COLUMNS, rows, byte_order_mark=True)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert typed(list(read_rows(path))) == typed(rows)


@pytest.mark.parametrize("suffix", [each for each in SUFFIXES if TABLE_FORMATS[each].has_objects])
def test_objects_are_read_as_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(path, suffix, COLUMNS, [result.to_dict() for result in RESULTS])
    assert list(read_rows(path)) == rows_of(RESULTS, frozenset())


def test_parquet_has_the_declared_types(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, ".parquet", ["path", "time_s", "person", "quality_height", "nose_x"], [])
    types = [pa.string(), pa.float64(), pa.int32(), pa.int32(), pa.float64()]
    assert pq.read_schema(path).types == types


def test_whole_numbers_with_a_decimal_point_are_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("path,quality_height\na.jpg,108.0\n")
    assert typed(list(read_rows(path))) == typed([{"path": "a.jpg", "quality_height": 108}])


def test_failures_are_recognized_in_rows_and_objects() -> None:
    for result in RESULTS:
        failed = result.error is not None
        assert is_failure(result.to_dict()) == failed
        assert {is_failure(row) for row in result.to_rows()} == {failed}
    assert is_failure(replace(RESULTS[2], path=None).to_dict())


@pytest.mark.parametrize("name", ["table", "table.xls"])
def test_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError):
        format_of(Path(name))


@pytest.mark.parametrize("text", ["", "\n", "path,error_code\na.jpg,,happy\n", 'path\n"a'])
def test_a_csv_without_header_or_with_more_cells_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    with pytest.raises(InvalidParameterError, match="not a readable"):
        list(read_rows(table))
