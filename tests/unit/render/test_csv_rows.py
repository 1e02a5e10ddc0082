import csv
import io
from dataclasses import replace

import pytest

from mien.errors import NotAnImageError
from mien.render.csv import csv_header, csv_rows
from mien.render.json import Include, face_records
from mien.types import Emotion, ImageResult
from samples import make_face

SIX = tuple(Emotion)[:6]
FACES = (make_face(50, 40, 30, 40), make_face(-5, 20, 20, 25, Emotion.SAD))
RESULT = ImageResult(width=200, height=100, faces=FACES)
ALL = frozenset(Include)


def table(*results: ImageResult, include: frozenset[Include] = frozenset()) -> list[dict[str, str]]:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(csv_header(SIX, include))
    for result in results:
        writer.writerows(csv_rows("a photo, with comma.jpg", result, SIX, include))
    return list(csv.DictReader(io.StringIO(stream.getvalue()), strict=True))


def test_no_photo_is_a_header_alone() -> None:
    assert table() == []
    assert csv_header(SIX) == (
        "path", "width", "height", "face", "x", "y", "box_width", "box_height", "emotion",
        "confidence", "error_code", "error_message",
    )  # fmt: skip


def test_a_photo_without_a_face_is_a_row() -> None:
    (row,) = table(ImageResult(width=200, height=100))
    filled = {key: value for key, value in row.items() if value}
    assert filled == {"path": "a photo, with comma.jpg", "width": "200", "height": "100"}


def test_a_failed_photo_is_a_row() -> None:
    (row,) = table(ImageResult(error=NotAnImageError("this is not a picture")), include=ALL)
    filled = {key: value for key, value in row.items() if value}
    assert filled == {
        "path": "a photo, with comma.jpg",
        "error_code": "not_an_image",
        "error_message": "this is not a picture",
    }


@pytest.mark.parametrize("include", [frozenset(), ALL, *({i} for i in Include)], ids=str)
def test_rows_say_what_the_json_says(include: frozenset[Include]) -> None:
    rows = table(RESULT, include=frozenset(include))
    for index, (row, record) in enumerate(zip(rows, face_records(RESULT, ALL), strict=True)):
        assert row["face"] == str(index)
        box = [int(row[key]) for key in ("x", "y", "box_width", "box_height")]
        assert box == record["bounding_box"]
        assert (row["emotion"], float(row["confidence"])) == (record["emotion"], 0.9375)
        if Include.SCORES in include:
            assert {e: float(row[f"score_{e}"]) for e in SIX} == record["scores"]
        if Include.LANDMARKS in include:
            nose = [float(row["nose_x"]), float(row["nose_y"])]
            assert nose == record["landmarks"][2]
        if Include.DETECTION in include:
            assert float(row["detection"]) == record["detection"]
        assert ("nose_x" in row) == (Include.LANDMARKS in include)


def test_a_cropped_face_has_neither_landmarks_nor_detection() -> None:
    face = replace(FACES[0], landmarks=None, detection=None)
    (row,) = table(ImageResult(width=200, height=100, faces=(face,)), include=ALL)
    assert row["nose_x"] == row["detection"] == ""
    assert row["score_happy"] == "0.9375"
