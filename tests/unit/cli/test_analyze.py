import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.batch.paths import path_from_text
from mien.classify.labels import LabelSet
from mien.cli import analyze, main
from mien.cli.analyze import AnnotationFolder
from mien.cli.formats import PRINTERS, print_text
from mien.cli.options import add_analysis_options, recognizer_arguments
from mien.cli.parser import Parser
from mien.files import write_new
from mien.image.encode import encoded
from mien.recognizer import Recognizer
from mien.results import ImageResult
from mien.settings import Settings, recognizer_builder
from samples import StubDetector

BOXES = [[50, 40, 30, 40], [10, 20, 20, 25]]


def test_text_format(mien, photo: Path, small: Path) -> None:
    done = mien("analyze", photo, small)
    assert done.status == 0
    assert done.err == ""
    assert done.out.splitlines() == [
        f"{photo} (512 x 512): 2 faces",
        "  happy      94 %  at 50, 40, size 30 x 40",
        "  sad        94 %  at 10, 20, size 20 x 25",
        f"{small} (20 x 10): no face",
    ]


def test_text_names_the_turn(capsys: pytest.CaptureFixture[str]) -> None:
    result = ImageResult(path="a.jpg", width=40, height=30, turn=270)
    print_text([result], LabelSet.SIX, frozenset())
    assert capsys.readouterr().out == "a.jpg (40 x 30, turned by 270 degrees): no face\n"


def test_text_with_everything(mien, photo: Path) -> None:
    done = mien("analyze", photo, "--include", "scores, landmarks,detection,quality")
    assert "    happy 93.8 %, sad 1.3 %, angry 1.3 %" in done.out
    assert "    left eye 59, 56, right eye 71, 56, nose 65, 64" in done.out
    assert "    detection 0.990" in done.out
    assert "    sharpness " in done.out
    assert "    yaw 0, pitch " in done.out


@pytest.mark.parametrize("option", [option for option, _, _ in PRINTERS])
def test_every_format_covers_each_photo(mien, photo: Path, text: Path, option: str) -> None:
    done = mien("analyze", option, photo, text)
    assert done.status == 1
    assert str(photo) in done.out
    assert str(text) in done.out


def test_json_is_a_list_of_what_jsonl_has_in_lines(mien, photo: Path, text: Path) -> None:
    lines = mien("analyze", "--jsonl", photo, text, photo)
    whole = mien("analyze", "--json", photo, text, photo)
    assert lines.status == whole.status == 1
    records = [json.loads(line) for line in lines.out.splitlines()]
    for record, twin in zip(records, json.loads(whole.out), strict=True):
        assert record.pop("seconds", {}).keys() == twin.pop("seconds", {}).keys()
        assert record == twin
    assert records[0]["path"] == str(photo)
    assert records[0]["size"] == [512, 512]
    assert [face["bounding_box"] for face in records[0]["faces"]] == BOXES
    assert set(records[0]["faces"][0]) == {"bounding_box", "emotion", "confidence"}
    assert records[1].keys() == {"path", "error"}
    assert records[1]["path"] == str(text)
    assert records[1]["error"]["code"] == "not_an_image"
    assert f"mien: {text}: {records[1]['error']['message']}" in lines.err


def test_json_with_everything(mien, photo: Path) -> None:
    done = mien("analyze", "--json", photo, "--include", "scores,landmarks,detection")
    ((record,),) = (json.loads(done.out),)
    face = record["faces"][0]
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert len(face["landmarks"]) == 5
    assert face["detection"] == 0.99


def test_csv(mien, photo: Path, small: Path, text: Path) -> None:
    done = mien("analyze", "--csv", photo, small, text, "--include", "scores")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["path"], row["face"], row["error_code"]) for row in rows] == [
        (str(photo), "0", ""),
        (str(photo), "1", ""),
        (str(small), "", ""),
        (str(text), "", "not_an_image"),
    ]
    assert rows[0]["score_happy"] == "0.9375"
    assert done.status == 1


def test_options_reach_the_models(
    mien, photo: Path, detector: StubDetector, models_built: list[object]
) -> None:
    done = mien(
        "analyze", "--json", photo, "--labels", "eight", "--min-face-size", "33", "--min-score",
        "0.4", "--max-faces", "1", "--include", "scores", "--model", "m.onnx", "--detector",
        "yunet", "--detector-model", "y.onnx",
    )  # fmt: skip
    assert detector.received == [{"min_face_size": 33, "min_score": 0.4}]
    assert models_built == [("yunet", Path("y.onnx")), "m.onnx"]
    ((face,),) = (record["faces"] for record in json.loads(done.out))
    assert len(face["scores"]) == 8
    mien("analyze", photo, "--crop")
    assert len(detector.received) == 1


def test_a_photo_without_a_face_is_tried_rotated(mien, small: Path, detector: StubDetector) -> None:
    mien("analyze", small)
    assert len(detector.received) == 1
    mien("analyze", small, "--upright", "auto")
    assert len(detector.received) == 5


def test_models_may_come_from_the_environment(
    mien, photo: Path, models_built: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_DETECTOR", "mtcnn")
    monkeypatch.setenv("MIEN_MAX_PIXELS", "1000")
    monkeypatch.setenv("MIEN_DETECTOR_MODEL", "")
    monkeypatch.setenv("MIEN_MODEL", "")
    # Kubernetes sets such variables in all pods beside a service named mien.
    monkeypatch.setenv("MIEN_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("MIEN_SERVICE_HOST", "10.0.0.1")
    assert mien("analyze", photo).status == 1
    assert models_built[0] == ("mtcnn", None)
    assert mien("analyze", photo, "--max-pixels", "1000000").status == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "m.onnx"),
        ("detector", "mtcnn"),
        ("detector_model", Path("y.onnx")),
        ("providers", "cuda,cpu"),
        ("max_pixels", 1000),
        ("threads", 2),
        ("min_face_size", 33),
    ],
)
def test_each_setting_of_the_recognizer_is_a_variable_of_the_commands(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    assert name in recognizer_builder(Settings()).keywords
    parser = Parser()
    add_analysis_options(parser)
    monkeypatch.setenv(f"MIEN_{name.upper()}", str(value))
    assert recognizer_arguments(parser.parse_args([]))[name] == value


WRONG = {
    "no photo": [],
    "unknown option": ["a.jpg", "--fast"],
    "two formats": ["a.jpg", "--json", "--csv"],
    "unknown include": ["a.jpg", "--include", "scores,age"],
    "empty include": ["a.jpg", "--include", ""],
    "unknown labels": ["a.jpg", "--labels", "nine"],
    "no face at all": ["a.jpg", "--max-faces", "0"],
    "size that can't be looked for": ["a.jpg", "--min-face-size", "11"],
    "score above 1": ["a.jpg", "--min-score", "1.5"],
    "negative size": ["a.jpg", "--min-face-size", "-4"],
    "size that is no number": ["a.jpg", "--min-face-size", "big"],
    "size that is no whole number": ["a.jpg", "--min-face-size", "4.5"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_usage(mien, arguments: list[str]) -> None:
    done = mien("analyze", *arguments)
    assert done.status == 2
    assert done.out == ""
    assert "usage: mien analyze" in done.err


def test_bad_environment(mien, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("many", "9" * 5000):
        monkeypatch.setenv("MIEN_MAX_PIXELS", wrong)
        done = mien("analyze", photo)
        assert (done.status, done.out) == (2, "")
        assert "MIEN_MAX_PIXELS" in done.err
    monkeypatch.setenv("MIEN_MAX_PIXELS", "")
    monkeypatch.setenv("MIEN_THREADS", "0")
    assert "MIEN_THREADS" in mien("analyze", photo).err
    assert mien("analyze", photo, "--threads", "1").status == 0
    assert mien("analyze", "--help").status == 0


def test_bad_inputs_are_reported_and_others_continue(mien, photo: Path, tmp_path: Path) -> None:
    bad = (tmp_path / "none.jpg", tmp_path, tmp_path / f"{'long' * 99}.jpg")
    done = mien("analyze", *bad, photo)
    assert done.status == 1
    for path, line in zip(bad, done.err.splitlines(), strict=True):
        assert line.startswith(f"mien: {path}: ")
    assert done.out.startswith(f"{photo} (512 x 512)")


def test_a_video_and_a_quoted_pattern_get_a_hint(mien, text: Path, tmp_path: Path) -> None:
    done = mien("analyze", "--jsonl", text, tmp_path / "*.webp")
    assert done.status == 1
    codes = [json.loads(line)["error"]["code"] for line in done.out.splitlines()]
    assert codes == ["not_an_image", "unreadable_file"]
    video, pattern = done.err.splitlines()
    assert "mien video" in video
    assert "quotes" in pattern


def test_a_name_that_looks_like_a_pattern(mien, photo: Path) -> None:
    assert mien("analyze", photo.rename(photo.with_name("[1].jpg"))).status == 0


def test_the_hint_for_large_photos_does_not_depend_on_the_detector(
    mien, tmp_path: Path, detector: StubDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "detect", lambda *_, **__: ())
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGB", (640, 480)).save(small)
    Image.new("RGB", (1400, 1300)).save(large)
    assert mien("analyze", small).err == ""
    assert "--min-face-size" in mien("analyze", large).err
    assert mien("analyze", large, "--min-face-size", "20").err == ""
    monkeypatch.setenv("MIEN_MIN_FACE_SIZE", "20")
    assert mien("analyze", large).err == ""


def test_a_web_address_is_refused_and_shown_unchanged(mien, photo: Path) -> None:
    done = mien("analyze", "--jsonl", "https://example.org//a.jpg", photo)
    assert done.status == 1
    refused, analyzed = map(json.loads, done.out.splitlines())
    assert refused["path"] == "https://example.org//a.jpg"
    assert refused["error"]["code"] == "unreadable_file"
    assert analyzed["path"] == str(photo)


@pytest.mark.parametrize("options", [[], ["--csv"]])
def test_a_name_that_begins_with_a_dash(
    mien, photo: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    photo.rename(photo.with_name("-x.jpg"))
    monkeypatch.chdir(photo.parent)
    done = mien("analyze", *options, "--", "-x.jpg")
    assert (done.status, "-x.jpg" in done.out) == (0, True)


def test_order_is_kept(mien, tmp_path: Path) -> None:
    paths = []
    for width in range(1, 30):
        paths.append(tmp_path / f"{width}.png")
        Image.new("RGB", (width, 1)).save(paths[-1])
    done = mien("analyze", "--jsonl", *paths)
    sizes = [json.loads(line)["size"][0] for line in done.out.splitlines()]
    assert sizes == list(range(1, 30))


def test_stdin(mien, face_photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(face_photo)))
    done = mien("analyze", "--jsonl", "-")
    assert json.loads(done.out)["path"] == "-"
    assert json.loads(done.out)["size"] == [512, 512]


def test_non_utf_8_file_names_are_kept(mien, face_photo: bytes, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9 \xf0\x9f\x98\x80.jpg"
    try:
        Path(os.fsdecode(name)).write_bytes(face_photo)
    except OSError:
        pytest.skip("this file system takes only names that are UTF-8")
    given = os.fsdecode(name)
    text = rf"{tmp_path}/caf\xe9 😀.jpg"
    assert json.loads(mien("analyze", "--jsonl", given).out)["path"] == text
    assert os.fsencode(path_from_text(text)) == name
    assert mien("analyze", given).out.startswith(f"{text} (512 x 512)")
    assert text in mien("analyze", "--csv", given).out


def test_control_characters_in_a_name_do_not_reach_the_terminal(mien, tmp_path: Path) -> None:
    done = mien("analyze", tmp_path / "a\x1b[2Jb\n.jpg")
    assert "\x1b" not in done.err
    assert "a\\x1b[2Jb\\n.jpg: " in done.err


def test_annotated_copies(mien, photo: Path, text: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / "Party.JPG"
    twin.parent.mkdir()
    twin.write_bytes(photo.read_bytes())
    out = tmp_path / "new" / "out"
    done = mien("analyze", photo, text, twin, "--annotate", out)
    assert done.status == 1
    assert sorted(path.name for path in out.iterdir()) == ["Party-2.JPG", "party.jpg"]
    assert any(str(twin) in line and "Party-2.JPG" in line for line in done.err.splitlines())
    with Image.open(out / "party.jpg") as copy, Image.open(photo) as original:
        assert (copy.format, copy.size) == ("JPEG", original.size)
        assert np.abs(np.asarray(copy).astype(int) - np.asarray(original)).max() > 50


def test_annotating_never_overwrites(mien, photo: Path) -> None:
    before = photo.read_bytes()
    for _ in range(2):
        assert mien("analyze", photo, "--annotate", photo.parent).status == 0
    assert photo.read_bytes() == before
    names = {path.name for path in photo.parent.iterdir()}
    assert names == {"party.jpg", "party-2.jpg", "party-3.jpg"}


@pytest.mark.parametrize(
    ("photo", "name", "kind"),
    [
        ("-", "stdin.jpg", "JPEG"),
        ("a/b.PNG", "b.PNG", "PNG"),
        ("b.webp", "b.webp", "WEBP"),
        ("b.jpeg", "b.jpeg", "JPEG"),
        ("b", "b.jpg", "JPEG"),
        (".jpg", ".jpg.jpg", "JPEG"),
        ("b.photo", "b.jpg", "JPEG"),
    ],
)
def test_names_of_copies(tmp_path: Path, photo: str, name: str, kind: str) -> None:
    target = AnnotationFolder(tmp_path).reserve(photo)
    assert target == tmp_path / name
    with Image.open(io.BytesIO(encoded(Image.new("RGB", (4, 4)), target.suffix))) as written:
        assert written.format == kind


def test_unusable_annotation_folder(
    mien, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = mien("analyze", photo, "--annotate", photo)
    assert (done.status, done.out) == (2, "")
    assert str(photo) in done.err
    monkeypatch.setattr(analyze.os, "access", lambda *_: False)
    done = mien("analyze", photo, "--annotate", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert str(tmp_path) in done.err


def test_a_copy_that_can_not_be_written_fails_the_photo_but_keeps_its_result(
    mien, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(analyze, "write_new", full)
    done = mien("analyze", "--jsonl", photo, "--annotate", tmp_path / "out")
    assert done.status == 1
    assert len(json.loads(done.out)["faces"]) == 2
    assert str(tmp_path / "out" / "party.jpg") in done.err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_partial_copies_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise error

    target = tmp_path / "copy.png"
    opened: list[Full] = []
    deleted: list[Path] = []

    def open_full(self: Path, mode: str) -> Full:
        opened.append(Full(self, mode))
        return opened[0]

    def delete(self: Path) -> None:
        assert opened[0].closed, "Windows deletes no file that is open"
        deleted.append(self)

    monkeypatch.setattr(Path, "open", open_full)
    monkeypatch.setattr(Path, "unlink", delete)
    with pytest.raises(type(error)):
        write_new(target, b"image")
    assert deleted == [target]


def test_interrupted(photo: Path, monkeypatch: pytest.MonkeyPatch, models_built: list) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognizer, "analyze", interrupt)
    assert main(["analyze", str(photo)]) == 130
