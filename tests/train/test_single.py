"""A network of the FER2013 labels alone, with the reference's split: trained, exported, served."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from mien.recognizer import Recognizer
from mien.types import RgbImage
from mien_train import cli
from mien_train.data import load_data
from mien_train.data.fer2013 import FER2013_LABELS
from mien_train.errors import TrainingError
from mien_train.recipe import load_recipe

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_training_export_and_prediction_with_one_output(
    fer_folder: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "single.toml"
    own = 'ferplus_weight = 0.0\nfer2013_weight = 1.0\nsplit = "reference"\n'
    recipe.write_text(own + recipe_file.read_text())
    data = ["--data", str(fer_folder)]
    run, model = tmp_path / "run", tmp_path / "model" / "model.onnx"
    assert cli.main(["train", str(recipe), *data, "--out", str(run)]) == 0
    assert cli.main(["export", str(run / "checkpoint.pt"), "--out", str(model.parent)]) == 0
    split = ["--split", "reference"]
    assert cli.main(["calibrate", str(model), *data, *split]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", str(model), *data, *split, "--json", "--record"]) == 0
    scores = json.loads(capsys.readouterr().out)
    held_back = (load_data(fer_folder, "reference").usage == "PublicTest").sum()
    assert scores["fer2013"]["faces"] == held_back
    assert scores["fer2013"]["accuracy"] > 0.5
    card = tomllib.loads((model.parent / "card.toml").read_text())
    assert card["model"]["labels"] == list(FER2013_LABELS)
    recorded = card["measured"]["publictest_reference"]
    assert recorded["command"].endswith("--usage PublicTest --split reference")
    recognizer = Recognizer(model=model, crop=True)
    image = RgbImage(np.full((60, 60, 3), 90, dtype=np.uint8))
    (face,) = recognizer.analyze(image).faces
    assert sum(face.scores.values()) == pytest.approx(1, abs=1e-5)


def test_the_baselines_recipe() -> None:
    recipe = load_recipe("vgg19-fer2013")
    assert (recipe.backbone, recipe.split, recipe.ferplus_weight) == ("vgg19", "reference", 0)
    assert recipe.early_stopping is not None
    assert recipe.early_stopping.metric == "fer2013_accuracy"


@pytest.mark.parametrize(
    "line", ['split = "other"', "ferplus_weight = -1.0", "fer2013_weight = 0.0"]
)
def test_weights_and_splits_out_of_range(line: str, recipe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(f"{line}\n{recipe_file.read_text()}")
    with pytest.raises(TrainingError, match=line.partition(" ")[0]):
        load_recipe(str(path))
