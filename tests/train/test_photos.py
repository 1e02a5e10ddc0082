"""Evaluation of whole photos, end to end."""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_session import FakeSession
from mien.artifacts import load_card
from mien.classify.onnx import DEFAULT_MODEL, OnnxClassifier
from mien.runtime.ort import TensorSpec
from mien.types import Emotion
from mien_train import cli
from mien_train.calibrate import fit
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, load_fer2013
from mien_train.errors import TrainingError
from mien_train.photos import load_labels
from mien_train.twins import has_twin

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
HEADER = ["file", "x", "y", "width", "height", "draw", "votes", "label"]
FACE = ["astronaut.jpg", 180, 60, 90, 116]
NOWHERE = ["astronaut.jpg", 360, 80, 80, 100]
ROWS = [
    [*FACE, "random", "", "happy"],
    [*NOWHERE, "random", "", "neutral"],
    [*FACE, "stratified", "", "sad"],
    [*FACE, "random", "", ""],
    [*FACE, "random", "", "other"],
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "made-up"
    shutil.copytree(load_card(DEFAULT_MODEL).folder, folder)
    return folder / "model.onnx"


def photos(folder: Path, rows: list[list[object]]) -> Path:
    shutil.copy(EXAMPLE, folder)
    # Excel writes a byte order mark.
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8-sig") as text:
        csv.writer(text).writerows([HEADER, *rows])
    return folder


def test_missed_faces_count_as_wrong_end_to_end(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = ["evaluate", str(model), "--photos", str(photos(tmp_path, ROWS))]
    assert cli.main([*evaluate, "--json", "--record"]) == 0
    scores = json.loads(capsys.readouterr().out)
    random, every = scores["random"], scores["every"]
    assert (random["labeled"], random["found"]["faces"]) == (2, 1)
    assert (random["accuracy"], random["found"]["accuracy"]) == (0.5, 1.0)
    assert (every["labeled"], every["found"]["faces"]) == (3, 2)
    assert every["recall"]["happy"] == 1
    assert every["recall"]["neutral"] == every["recall"]["sad"] == 0
    assert every["found"]["balanced"] == 0.5, "happy and sad occur"
    assert "[photos.random.found.per_class.happy]" in (model.parent / "card.toml").read_text()
    assert cli.main(evaluate) == 0
    text = capsys.readouterr().out
    assert "random sample, end to end: 1 of 2 found, accuracy 0.5000" in text
    assert "left out, with another label than the six: other (1)" in text


def test_the_packaged_model_is_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [[*FACE, " Random", "", label] for label in ("happy", "Happiness", "contempt")]
    evaluate = ["evaluate", "--photos", str(photos(tmp_path, rows))]
    for detector in ([], ["--detector", "centerface"]):
        assert cli.main([*evaluate, *detector]) == 0
        assert "2 of 2 found, accuracy 1.0000" in capsys.readouterr().out
    assert cli.main([*evaluate, "--detector", "eyes"]) == 1
    assert "no detector 'eyes'" in capsys.readouterr().err
    assert cli.main([*evaluate, "--record"]) == 1
    assert "--record needs the path of a model" in capsys.readouterr().err
    assert cli.main(["evaluate", "--data", str(tmp_path), "--detector", "mtcnn"]) == 1
    assert "--detector needs --photos" in capsys.readouterr().err


def test_without_the_column_draw_all_faces_are_one_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "labels.csv").write_text(
        "file,x,y,width,height,label\nastronaut.jpg,180,60,90,116,happy\n"
    )
    assert cli.main(["evaluate", "--photos", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count("end to end") == 1
    assert "all faces, end to end: 1 of 1 found, accuracy 1.0000" in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no face whose draw is random"),
        ([[*FACE, "stratified", "", "happy"]], "no face whose draw is random"),
        ([["astronaut.jpg", "left", 1, 2, 3, "random", "", "happy"]], "labels.csv, row 2: "),
        ([[*FACE[:4], "nan", "random", "", "happy"]], "row 2: the box 180, 60, 90, nan"),
        ([[*FACE[:3], 0, 9, "random", "", "happy"]], "row 2: the box 180, 60, 0, 9"),
        ([[*FACE, "random", "", "happy"], [*FACE, "random", "", "9", "happy"]], "row 3: it has"),
        ([[*FACE, "random", "", "happy"], FACE], "row 3: it has not as many"),
        ([["astronaut.jpg", 512, 0, 9, 9, "random", "", "happy"]], "at 512, 0 is outside of its"),
        ([["astronaut.jpg", -9, 0, 9, 9, "random", "", "happy"]], "at -9, 0 is outside of its"),
        ([["missing.jpg", *FACE[1:], "random", "", "happy"]], "missing.jpg"),
        ([[*NOWHERE, "random", "", "happy"]], "none of the labeled faces of the random sample"),
    ],
)
def test_unscorable_photos_are_named(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[list[object]],
    message: str,
) -> None:
    assert cli.main(["evaluate", str(model), "--photos", str(photos(tmp_path, rows))]) == 1
    assert message in capsys.readouterr().err


def test_missing_labels_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        load_labels(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n")
    with pytest.raises(TrainingError, match="'height'"):
        load_labels(tmp_path)


def always(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The FER+ output says happy, the other one sad, and is surer of it."""
    (crops,) = feeds.values()
    ferplus, fer2013 = np.zeros((len(crops), 8)), np.zeros((len(crops), 7))
    ferplus[:, FERPLUS_LABELS.index("happy")] = 2
    fer2013[:, FER2013_LABELS.index("sad")] = 4
    return [ferplus.astype(np.float32), fer2013.astype(np.float32)]


@pytest.mark.parametrize(("label", "sad"), [("happy", False), ("sad", True)])
def test_photos_affect_the_share(fer_folder: Path, tmp_path: Path, label: str, sad: bool) -> None:
    """Happy and sad are as common in the other faces, so photos alone decide."""
    data = load_fer2013(fer_folder).split("PublicTest")
    folder = photos(tmp_path, [[*FACE, "random", "", label], [*NOWHERE, "random", "", "neutral"]])
    classifier = OnnxClassifier(
        FakeSession(
            always,
            inputs=[TensorSpec("crops", (None, 1, 48, 48))],
            outputs=[TensorSpec("ferplus", (None, 8)), TensorSpec("fer2013", (None, 7))],
        ),
        load_card(DEFAULT_MODEL),
    )
    share = fit(classifier, data, folder).second_share
    calibrated = classifier.recalibrated({"second_share": share})
    response = calibrated.predict(np.zeros((1, 1, 48, 48), dtype=np.float32))[0]
    assert (response.argmax() == classifier.labels.index(Emotion.SAD)) == sad
    empty = photos(tmp_path, [[*NOWHERE, "random", "", "neutral"]])
    with pytest.raises(TrainingError, match="random sample"):
        fit(classifier, data, empty)


@pytest.mark.parametrize("options", [[], ["--data", "a", "--photos", "b"]])
def test_faces_or_photos(
    model: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert cli.main(["evaluate", str(model), *options]) == 1
    assert "--data DIR or --photos DIR" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--flip"], ["--report", "page.html"]])
def test_options_of_faces_are_refused_with_photos(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert cli.main(["evaluate", str(model), "--photos", str(tmp_path), *option]) == 1
    assert option[0] in capsys.readouterr().err


def test_a_twin_is_the_same_image_with_other_light_or_noise() -> None:
    random = np.random.default_rng(5)
    train = random.integers(0, 256, (3, 48, 48))
    held_back: Any = [
        train[1],
        train[1] * 0.5 + 40 + random.normal(0, 4, (48, 48)),
        train[2][:, ::-1],
        np.full((48, 48), 9),
        random.integers(0, 256, (48, 48)),
    ]
    twin = has_twin(np.array(held_back).astype(np.uint8), train.astype(np.uint8))
    assert twin.tolist() == [True, True, False, False, False]
