"""Natural faces: from labels by eye to rows that train one of the two outputs."""

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.classify.onnx import load_classifier
from mien_train import cli
from mien_train.data.fer2013 import FERPLUS_LABELS, NO_LABEL, load_fer2013
from mien_train.data.natural import load_natural
from mien_train.errors import TrainingError
from mien_train.recipe import load_recipe
from mien_train.targets import Targets
from mien_train.train import Trainer

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
HEADER = ["file", "source", "label", "second", "left", "top", "right", "bottom"]
# Of the face in the example.
BOX = [180, 60, 270, 176]


def write(folder: Path, rows: list[list[object]]) -> Path:
    """A folder with the example and a small grey picture of its face."""
    with zipfile.ZipFile(folder / "faces.zip", "w") as pictures:
        pictures.write(EXAMPLE, "whole.jpg")
        with Image.open(EXAMPLE) as picture:
            file = io.BytesIO()
            picture.convert("L").crop((171, 60, 281, 170)).save(file, "PNG")
        pictures.writestr("close.png", file.getvalue())
    with (folder / "labels.csv").open("w", newline="") as text:
        csv.writer(text).writerows([HEADER, *rows])
    return folder


ROWS: list[list[object]] = [
    ["close.png", "a", "neutral", "happy", "", "", "", ""],
    ["whole.jpg", "b", "happy", "unsure", *BOX],
    ["whole.jpg", "b", "unsure", "", *BOX],
    ["whole.jpg", "b", "other", "happy", *BOX],
]


def test_labels_become_votes_and_no_fer2013_label(tmp_path: Path) -> None:
    data = load_natural(write(tmp_path, ROWS))
    assert [FERPLUS_LABELS[index] for index in data.ferplus_majority()] == ["neutral", "happy"]
    shares = data.ferplus_distribution()
    assert shares[0, FERPLUS_LABELS.index("happy")] == pytest.approx(0.3)
    assert shares[1].max() == 1, "what is no emotion is no second choice"
    assert (data.fer2013 == NO_LABEL).all()
    assert set(data.usage) == {"Training"}


def test_a_face_has_the_same_crop_in_a_photo_and_in_a_close_up(tmp_path: Path) -> None:
    close, whole = load_natural(write(tmp_path, ROWS)).faces
    assert np.corrcoef(close.ravel(), whole.ravel())[0, 1] > 0.8


def test_without_a_detection_the_labeled_box_is_used(tmp_path: Path) -> None:
    """The box of the rocket beside the face holds no face."""
    (face,) = load_natural(
        write(tmp_path, [["whole.jpg", "b", "sad", "", 360, 80, 440, 180]])
    ).faces
    with Image.open(EXAMPLE) as picture:
        expected = picture.convert("L").crop((353, 83, 447, 177)).resize((48, 48))
    assert np.corrcoef(face.ravel(), np.asarray(expected).ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no faces with one of happy"),
        ([["missing.png", "a", "sad", "", "", "", "", ""]], "missing.png"),
        ([["whole.jpg", "b", "sad", "", "left", 1, 2, 3]], "left"),
        ([*ROWS, ["whole.jpg", "b", "sad"]], r"labels\.csv, row 6: it has not as many values"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        load_natural(write(tmp_path, rows))


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    (tmp_path / "labels.csv").write_text("file,label\n")
    with pytest.raises(TrainingError, match="second"):
        load_natural(tmp_path)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        load_natural(tmp_path)


def test_they_add_nothing_to_the_fer2013_output(
    fer_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    data = load_fer2013(fer_folder)
    natural = load_natural(write(tmp_path, ROWS))
    recipe = load_recipe(str(recipe_file))
    recipe = replace(recipe, ferplus_weight=0.0, weight_decay=0.0, batch=4)
    run = Trainer(recipe, natural.joined(natural), data.split("PublicTest"), tmp_path)
    before = run.model.fer2013.weight.clone()
    run.run()
    assert torch.equal(run.model.fer2013.weight, before)


def test_teachers_are_not_applied_to_natural_faces(tmp_path: Path) -> None:
    natural = load_natural(write(tmp_path, ROWS))
    targets = Targets.from_dataset(natural, 0.1)
    taught = targets.distilled(torch.full((2, 8), 1 / 8), torch.full((2, 7), 1 / 7), 0.5)
    assert torch.equal(taught.ferplus, targets.ferplus)
    assert torch.equal(taught.fer2013, targets.fer2013)


def test_a_recipe_sets_the_repeats_of_natural_faces(
    fer_folder: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mixed.toml"
    text = recipe_file.read_text().replace("epochs = 30", "epochs = 1")
    recipe.write_text("natural_repeat = 3\n" + text)
    train = ["train", str(recipe), "--data", str(fer_folder), "--out", str(tmp_path / "run")]
    assert cli.main(train) == 1
    assert "natural_repeat" in capsys.readouterr().err
    assert cli.main([*train, "--natural", str(write(tmp_path, ROWS))]) == 0
    assert "54 faces" in capsys.readouterr().err, "48 and three times two"


def test_a_prior_is_added_to_the_emotions_logit(
    fer_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    data = load_fer2013(fer_folder)
    natural = load_natural(write(tmp_path, ROWS))
    recipe = replace(load_recipe(str(recipe_file)), natural_repeat=2)
    train = data.split("Training").joined(natural, recipe.natural_repeat)
    run = Trainer(recipe, train, data.split("PublicTest"), tmp_path / "run")
    run.save()
    outputs = []
    for name, options in (("plain", []), ("prior", ["--prior", "angry=0.5"])):
        arguments = ["export", str(run.checkpoint_path), "--out", str(tmp_path / name), *options]
        assert cli.main(arguments) == 0
        model = load_classifier(tmp_path / name / "model.onnx")
        outputs.append(model.outputs(np.full((1, 1, 48, 48), 0.4, dtype=np.float32))[0][0])
    change = np.zeros(8)
    change[FERPLUS_LABELS.index("angry")] = 0.5
    np.testing.assert_allclose(outputs[1] - outputs[0], change, atol=1e-4)
    assert "angry +0.5" in model.card.description
    assert (
        "2 faces of everyday photos, labeled by eye, 2 times"
        in (tmp_path / "prior" / "card.toml").read_text()
    )


@pytest.mark.parametrize("prior", ["angry", "angry=much", "cross=1"])
def test_an_invalid_prior_is_a_usage_error(prior: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "checkpoint.pt", "--out", "x", "--prior", prior])


def test_packed_faces_match_those_of_the_folder(tmp_path: Path) -> None:
    folder, file = write(tmp_path, ROWS), tmp_path / "natural.npz"
    assert cli.main(["pack", str(folder), "--out", str(file)]) == 0
    packed, whole = load_natural(file), load_natural(folder)
    np.testing.assert_array_equal(packed.faces, whole.faces)
    np.testing.assert_array_equal(packed.votes, whole.votes)
    assert set(packed.fer2013) == {NO_LABEL}
