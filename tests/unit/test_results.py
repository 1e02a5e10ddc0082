import csv
import io
import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

import mien
from mien.errors import InvalidParameterError
from mien.options import Include
from mien.results import Failure, ImageResult, table_columns
from mien.types import Emotion
from samples import make_face

FACES = (make_face(50, 40, 30, 40), make_face(-5, 20, 20, 25, Emotion.SAD))
RESULT = ImageResult(path="a photo, with comma.jpg", width=200, height=100, faces=FACES)
EMPTY = ImageResult(path="empty.jpg", width=200, height=100)
FAILED = ImageResult(path="bad.jpg", error=Failure("not_an_image", "this is not an image"))
ALL = frozenset(Include)
SIX = tuple(Emotion)[:6]


def table(*results: ImageResult, include: frozenset[Include] = frozenset()) -> list[dict[str, str]]:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, table_columns("six", include))
    writer.writeheader()
    for result in results:
        writer.writerows(result.to_rows("six", include))
    return list(csv.DictReader(io.StringIO(stream.getvalue()), strict=True))


def test_no_result_is_a_header_alone() -> None:
    assert table() == []


def test_an_image_without_a_face_is_a_row() -> None:
    (row,) = table(EMPTY)
    filled = {key: value for key, value in row.items() if value}
    assert filled == {"path": "empty.jpg", "width": "200", "height": "100", "turn": "0"}


def test_rows_have_the_labels_of_the_analysis(astronaut: np.ndarray) -> None:
    recognizer = mien.Recognizer(labels="eight", threads=1)
    blank = np.zeros((40, 40, 3), np.uint8)
    results = recognizer.analyze_many([astronaut, blank, "missing.jpg"])
    for result in results:
        (row,) = result.to_rows()
        assert tuple(row) == table_columns("eight")
    with pytest.raises(InvalidParameterError, match="eight"):
        results[0].to_rows("six")
    (row,) = mien.analyze(astronaut).to_rows("eight")
    assert tuple(row) == table_columns("eight")
    assert row["score_contempt"] is None
    with pytest.raises(InvalidParameterError):
        EMPTY.to_rows("nine")


def test_include_is_a_list_or_text() -> None:
    assert RESULT.to_dict("scores, detection") == RESULT.to_dict(["scores", "detection"])
    assert RESULT.to_dict("") == RESULT.to_dict()
    assert RESULT.to_dict(iter(["scores"])) == RESULT.to_dict(["scores"])
    for wrong in ("age", "scores,", ["s"], None, 5):
        for result in (RESULT, FAILED):
            for method in (result.to_dict, result.to_json, partial(result.to_rows, None)):
                with pytest.raises(InvalidParameterError, match="include"):
                    method(wrong)


def test_a_failed_image_is_a_row() -> None:
    (row,) = table(FAILED, include=ALL)
    filled = {key: value for key, value in row.items() if value}
    assert filled == {
        "path": "bad.jpg",
        "error_code": "not_an_image",
        "error_message": "this is not an image",
    }


@pytest.mark.parametrize(
    "include",
    [frozenset(), ALL, *({i} for i in Include)],
    ids=lambda names: "+".join(sorted(names)),
)
def test_rows_match_the_json(include: frozenset[Include]) -> None:
    rows = table(RESULT, include=frozenset(include))
    for index, (row, record) in enumerate(zip(rows, RESULT.face_records(ALL), strict=True)):
        assert row["face"] == str(index)
        box = [int(row[key]) for key in ("x", "y", "box_width", "box_height")]
        assert box == record["bounding_box"]
        assert (row["emotion"], float(row["confidence"])) == (record["emotion"], 0.9375)
        if Include.SCORES in include:
            assert {e: float(row[f"score_{e}"]) for e in SIX} == record["scores"]
        if Include.LANDMARKS in include:
            assert [float(row["nose_x"]), float(row["nose_y"])] == record["landmarks"][2]
        if Include.DETECTION in include:
            assert float(row["detection"]) == record["detection"]
        if Include.QUALITY in include:
            cells = {name: row[f"quality_{name}"] for name in record["quality"]}
            assert {name: float(cell) for name, cell in cells.items()} == record["quality"]
        assert ("nose_x" in row) == (Include.LANDMARKS in include)


def test_a_cropped_face_has_neither_landmarks_nor_detection() -> None:
    quality = replace(FACES[0].quality, yaw=None, pitch=None, roll=None)
    face = replace(FACES[0], landmarks=None, detection=None, quality=quality)
    (row,) = table(ImageResult(width=200, height=100, faces=(face,)), include=ALL)
    assert row["nose_x"] == row["detection"] == row["quality_yaw"] == ""
    assert row["quality_height"] == "40"
    assert row["score_happy"] == "0.9375"


def test_json_has_the_box_inside_the_image_and_the_error_of_a_failed_one() -> None:
    record = json.loads(RESULT.to_json())
    assert [face["bounding_box"] for face in record["faces"]] == [[50, 40, 30, 40], [0, 20, 15, 25]]
    assert set(record["faces"][0]) == {"bounding_box", "emotion", "confidence"}
    assert "turn" not in record
    assert replace(RESULT, turn=90).to_dict()["turn"] == 90
    assert FAILED.to_dict() == {
        "path": "bad.jpg",
        "error": {"code": "not_an_image", "message": "this is not an image"},
    }


def test_results_can_be_iterated_hashed_and_not_changed() -> None:
    assert len(RESULT) == 2
    assert tuple(RESULT) == FACES
    assert hash(RESULT) == hash(replace(RESULT))
    with pytest.raises(TypeError):
        RESULT.faces[0].scores["happy"] = 1.0
    with pytest.raises(TypeError):
        RESULT.faces[0].scores |= {"happy": 1.0}


@pytest.mark.parametrize("result", [RESULT, EMPTY, FAILED], ids=["faces", "empty", "failed"])
def test_results_become_plain_data(result: ImageResult) -> None:
    data = json.loads(json.dumps(asdict(result)))
    assert data["path"] == result.path
    assert len(data["faces"]) == len(result)


def test_a_fastapi_route_can_return_a_result() -> None:
    app = FastAPI()

    @app.get("/")
    def route() -> ImageResult:
        return RESULT

    response = TestClient(app).get("/").json()
    assert response["faces"][1]["emotion"] == "sad"
    assert response["faces"][1]["scores"]["sad"] == 0.9375


def test_boxes_in_both_forms() -> None:
    box = FACES[1].box
    assert box.xyxy == (-5, 20, 15, 45)
    assert box.xywh == (-5, 20, 20, 25)


# Without OpenCV, which mien does not need, supervision warns once when it is imported.
@pytest.mark.filterwarnings("ignore:OpenCV")
def test_faces_become_detections_of_supervision() -> None:
    supervision = pytest.importorskip("supervision")
    detections = RESULT.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert detections.xyxy.tolist() == [[50, 40, 80, 80], [-5, 20, 15, 45]]
    assert detections.data["class_name"].tolist() == ["happy", "sad"]
    assert detections.class_id.tolist() == [0, 1]
    assert detections.confidence == pytest.approx([face.confidence for face in FACES])
    # Its own code can use them.
    assert detections[detections.class_id == 1].xyxy.tolist() == [[-5, 20, 15, 45]]
    scene = np.zeros((100, 200, 3), dtype=np.uint8)
    assert supervision.BoxAnnotator().annotate(scene, detections).any()


@pytest.mark.filterwarnings("ignore:OpenCV")
@pytest.mark.parametrize("result", [EMPTY, FAILED], ids=["empty", "failed"])
def test_no_face_is_no_detection_of_supervision(result: ImageResult) -> None:
    pytest.importorskip("supervision")
    detections = result.to_supervision()
    assert detections.is_empty()
    assert detections.data["class_name"].tolist() == []


def test_supervision_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InvalidParameterError) as caught:
        RESULT.to_supervision()
    assert caught.value.code == "invalid_parameter"
    assert "pip install supervision" in caught.value.message


def test_annotate_draws_on_a_copy() -> None:
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    drawn = RESULT.annotate(pixels)
    assert drawn.size == (200, 100)
    assert np.asarray(drawn).any()
    assert not pixels.any()


def test_annotate_reads_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 100)).save(path)
    assert np.asarray(replace(RESULT, path=str(path)).annotate()).any()


@pytest.mark.parametrize(
    ("result", "image"),
    [
        (RESULT, np.zeros((50, 200, 3), dtype=np.uint8)),
        (RESULT, np.zeros((200, 100, 3), dtype=np.uint8)),
        (RESULT, np.zeros((200, 200, 3), dtype=np.uint8)),
        (replace(RESULT, path=None), None),
        (FAILED, np.zeros((50, 200, 3), dtype=np.uint8)),
    ],
    ids=["smaller", "turned", "larger", "no path", "failed"],
)
def test_annotate_refuses_another_image(result: ImageResult, image: object) -> None:
    with pytest.raises(mien.InvalidParameterError):
        result.annotate(image)


def test_annotate_needs_the_file() -> None:
    with pytest.raises(mien.ImageError):
        RESULT.annotate()


def test_a_notebook_shows_the_image_and_a_table(tmp_path: Path) -> None:
    path = tmp_path / "<b>photo.png"
    Image.new("RGB", (200, 100)).save(path)
    shown = replace(RESULT, path=str(path))._repr_html_()
    assert shown.startswith('<img alt="2 faces" src="data:image/jpeg;base64,')
    assert "&lt;b&gt;photo.png" in shown
    assert "<td>happy</td>" in shown
    assert "<img" not in RESULT._repr_html_()
    assert "<td>not_an_image</td>" in FAILED._repr_html_()


def test_faces_are_taken_by_their_number() -> None:
    assert (RESULT[0], RESULT[-1]) == (FACES[0], FACES[-1])
    with pytest.raises(IndexError):
        EMPTY[0]
