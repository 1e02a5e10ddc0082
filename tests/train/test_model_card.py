"""The model card page matches the card."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mien.artifacts import CARD_NAME, load_card
from mien.classify.onnx import DEFAULT_MODEL
from mien.errors import ArtifactError
from mien_train import cli
from mien_train.card import update_card, write_card
from mien_train.errors import TrainingError
from mien_train.model_card import render, weaknesses

ROOT = Path(__file__).parents[2]
SHIPPED = load_card(DEFAULT_MODEL).folder / "model.onnx"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the model in the wheel, to be changed."""
    for name in ("model.onnx", CARD_NAME):
        shutil.copy(SHIPPED.with_name(name), tmp_path / name)
    return tmp_path / "model.onnx"


def test_the_page_in_the_docs_matches_the_packaged_model(tmp_path: Path) -> None:
    assert cli.main(["card", str(SHIPPED), "--out", str(tmp_path / "card.md")]) == 0
    made = (tmp_path / "card.md").read_text()
    assert made == (ROOT / "docs" / "model-card.md").read_text(), (
        "run: mien-train card src/mien/artifacts/emotion-mobilenet/model.onnx "
        "--out docs/model-card.md"
    )


def test_the_readme_has_the_cards_figures() -> None:
    rows = {
        line.split("|")[1].strip(): line.split("|")[2].strip()
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    }
    six = load_card(DEFAULT_MODEL).measured["publictest"]["six"]
    assert rows["accuracy, six labels, FER+ majority"] == _accuracy(six)
    calibration = rows["calibration error of the confidence, same faces"]
    assert calibration == f"{six['calibration_error']:.3f}"


def _accuracy(table: dict[str, Any]) -> str:
    right = sum(row[index] for index, row in enumerate(table["confusion"]))
    return f"{100 * right / table['faces']:.1f} %"


def test_every_figure_follows_the_card(model: Path) -> None:
    before = render(model)
    card = tomllib.loads((model.parent / CARD_NAME).read_text())
    view = card["measured"]["publictest"]
    view["six"]["per_class"]["happy"]["precision"] = 0.123
    update_card(model.parent, "measured", {"publictest": view})
    changed = set(render(model).splitlines()) - set(before.splitlines())
    assert any("| happy |" in line and "0.12" in line for line in changed)
    assert any("happy is often predicted wrongly" in line and "88 %" in line for line in changed)


def test_views_are_distinguished(model: Path) -> None:
    card = tomllib.loads((model.parent / CARD_NAME).read_text())
    flipped = {**card["measured"]["publictest"], "view": "flip-averaged"}
    del flipped["fer2013"]
    update_card(model.parent, "measured", {"publictest_flip": flipped})
    page = render(model)
    assert page.count("| PublicTest, flip-averaged |") == 2
    assert page.count("| PublicTest, single |") == 3


def test_the_training_data_is_shown_if_known(model: Path) -> None:
    training = {"faces": 28202, "faces_with_votes": 28000, "labels": {"angry": 4000, "fear": 9}}
    update_card(model.parent, "training", training)
    assert "An epoch has 28,202 faces, 28,000 of them with votes" in render(model)
    assert "angry 4,000, fear 9." in render(model)


def test_photos_and_twins_are_shown_if_measured(model: Path) -> None:
    page = render(model)
    card = tomllib.loads((model.parent / CARD_NAME).read_text())
    sample = card["photos"]["random"]
    assert f"| random sample | {sample['found']['faces']} of {sample['labeled']} |" in page
    twins = card["measured"]["publictest"].pop("twins")["ferplus"]
    assert f"| FER+ output | {twins['twins']} | {100 * twins['twins_accuracy']:.1f} % |" in page
    del card["photos"]
    write_card(model.parent / CARD_NAME, card)
    page = render(model)
    assert "twins" not in page
    assert "On whole photos" not in page


def test_an_update_keeps_what_users_added(tmp_path: Path) -> None:
    users = 'made = 2026-01-01\ntags = ["a", "b"]\n[[authors]]\nname = "a"\nsince = 2020\n'
    users += 'limit = inf\n"größe" = "x\\u007fy"\n'
    (tmp_path / CARD_NAME).write_text(users, encoding="utf-8-sig")
    update_card(tmp_path, "model", {"temperature": 0.5})
    card = tomllib.loads((tmp_path / CARD_NAME).read_text(encoding="utf-8"))
    assert card == {**tomllib.loads(users), "model": {"temperature": 0.5}}


def test_without_figures_there_is_no_page(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model.parent / CARD_NAME
    path.write_text(path.read_text().split("[measured]")[0])
    with pytest.raises(TrainingError, match="evaluate with --record"):
        render(model)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"no card\.toml"):
        render(model)
    assert cli.main(["card", str(model), "--out", str(tmp_path / "card.md")]) == 1
    assert "card.toml" in capsys.readouterr().err


def view(confusion: list[list[int]], reliability: list[list[float]]) -> dict[str, Any]:
    labels = ["happy", "sad", "fear"]
    faces = sum(map(sum, confusion))
    columns = [sum(column) for column in zip(*confusion, strict=True)]
    table = {
        "faces": faces,
        "accuracy": sum(confusion[i][i] for i in range(3)) / faces,
        "confusion": confusion,
        "reliability": reliability,
        "per_class": {
            label: {
                "faces": sum(confusion[i]),
                "recall": confusion[i][i] / sum(confusion[i]),
                "recall_interval": [0.25, 0.75],
                "precision": confusion[i][i] / max(1, columns[i]),
            }
            for i, label in enumerate(labels)
        },
    }
    return {"six": table}


EMPTY = [0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("confusion", "reliability", "said", "not_said"),
    [
        ([[50, 0, 0], [0, 50, 0], [0, 0, 50]], [[150, 0.9, 1.0]], [], ["**", "overconfident"]),
        (
            [[900, 50, 0], [20, 60, 0], [2, 0, 8]],
            [EMPTY] * 14 + [[1000, 0.97, 0.92]],
            [
                "**fear is rare**: 10 of 1,040 faces. Its recall of 0.80",
                "**sad is often missed**: 25 % of the sad faces",
                "**sad is often predicted wrongly**: 45 % of the predictions sad",
                "50 of 950 happy faces are classified as sad and 20 of 80 sad faces as happy, 97 %",
                "25 % of the sad faces are classified as happy (20).",
                "20 % of the fear faces are classified as happy (2).",
                "the mean confidence is 97 %, but only 92 % of 1000 predictions are correct",
            ],
            ["happy is rare", "happy is often", "sad and fear"],
        ),
        ([[50, 0, 0], [0, 50, 0], [0, 0, 50]], [[9, 0.9, 0.1]], [], ["overconfident"]),
    ],
    ids=["perfect", "weak", "few answers"],
)
def test_weaknesses_are_computed(
    confusion: list[list[int]],
    reliability: list[list[float]],
    said: list[str],
    not_said: list[str],
) -> None:
    text = "\n".join(weaknesses(view(confusion, reliability)))
    for part in said:
        assert part in text
    for part in not_said:
        assert part not in text


def test_larger_label_sets_have_their_own_weaknesses() -> None:
    table = view([[50, 0, 0], [0, 50, 0], [0, 0, 50]], [EMPTY])
    table["ferplus"] = {"per_class": {"disgust": {"recall": 0.3333, "faces": 24}}}
    (message,) = weaknesses(table)
    assert message.startswith("**disgust**")
    assert "in 8 of 24" in message
