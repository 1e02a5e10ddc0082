"""docs/card.md and docs/models.md: valid cards, a complete table, an entry point that works."""

import re
import tomllib
from pathlib import Path

import pytest

from mien.artifacts import Card
from mien.classify.card import _KEYS, ModelSpec
from mien.classify.labels import LabelSet
from mien.classify.preprocess import Channels, CropSpec
from mien.recognizer import Recognizer
from mien.types import Emotion

DOCS = Path(__file__).parents[3] / "docs"
CARD_PAGE, PAGE = ((DOCS / name).read_text(encoding="utf-8") for name in ("card.md", "models.md"))
TOML = [
    tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", CARD_PAGE + PAGE, re.DOTALL)
]
CARDS = [Card(measured={}, folder=Path(), **table) for table in TOML if "files" in table]


def spec(model: dict[str, object]) -> ModelSpec:
    texts = dict.fromkeys(("name", "task", "description", "licence", "source"), "x")
    return ModelSpec.from_card(Card(files={}, model=model, measured={}, folder=Path(), **texts))


def test_the_first_card_writes_out_the_defaults() -> None:
    card = CARDS[0]
    required = {key: card.model[key] for key in ("size_px", "labels")}
    assert ModelSpec.from_card(card) == spec(required)
    assert spec(required).crop == CropSpec(size_px=48)


def test_the_second_card_has_all_labels_in_another_order() -> None:
    read = ModelSpec.from_card(CARDS[1])
    assert (read.crop.channels, read.crop.size_px) == (Channels.RGB, 224)
    assert read.outputs[0].emotions[0] is Emotion.NEUTRAL
    assert set(read.outputs[0].emotions) == set(LabelSet.EIGHT.emotions)


def test_the_table_has_every_key_of_a_card() -> None:
    table = CARD_PAGE.split("The table `[model]`")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == _KEYS


def test_an_entry_point_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (points,) = (table["project"]["entry-points"] for table in TOML if "project" in table)
    ((name, target),) = points["mien.classifiers"].items()
    (code,) = (
        text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class " in text
    )
    (tmp_path / "my_package.py").write_text(code.partition("\n\n\nresult")[0])
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[mien.classifiers]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(Recognizer(model=name).classifier).__name__ == target.partition(":")[2]
