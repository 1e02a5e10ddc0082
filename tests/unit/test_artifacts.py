import hashlib
from pathlib import Path

import pytest

from mien.artifacts import CARD_NAME, card_beside, card_names, load_card
from mien.detect.registry import build_detector
from mien.errors import ArtifactError

CARD = """
name = "one"
task = "emotion"
description = "made up"
licence = "none"
source = "a test"
[files]
"model.onnx" = "{digest}"
"""


def write_card(folder: Path, text: str = CARD, data: bytes = b"weights") -> Path:
    model = folder / "model.onnx"
    model.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (folder / CARD_NAME).write_text(text.format(digest=digest))
    return model


@pytest.mark.parametrize("name", card_names())
def test_every_shipped_model_is_complete_and_licensed(name: str) -> None:
    card = load_card(name)
    card.verify()
    assert card.name == name
    assert card.licence
    assert (card.folder / "LICENSE").read_text()


def test_an_unknown_name_lists_known_ones() -> None:
    with pytest.raises(ArtifactError, match="mtcnn"):
        load_card("no-such-model")


def test_a_card_next_to_a_file_is_found(tmp_path: Path) -> None:
    model = write_card(tmp_path)
    assert card_beside(model).read("model.onnx") == b"weights"


def test_other_programs_write_a_byte_order_mark_and_capitals(tmp_path: Path) -> None:
    model = write_card(tmp_path)
    card = tmp_path / CARD_NAME
    digest = hashlib.sha256(b"weights").hexdigest()
    card.write_text(card.read_text().replace(digest, digest.upper()), encoding="utf-8-sig")
    card_beside(model).verify()


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    model = write_card(tmp_path)
    model.write_bytes(b"Weights")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        card_beside(model).verify()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    model = write_card(tmp_path)
    card = card_beside(model)
    model.unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        card.read("model.onnx")
    with pytest.raises(ArtifactError, match=r"other\.onnx"):
        card.read("other.onnx")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = ", CARD_NAME),
        ('name = "one"', "task"),
        (CARD.replace("model.onnx", "other.onnx"), "model.onnx"),
        (CARD.replace("emotion", "detection"), "task"),
    ],
)
def test_a_broken_card_is_refused(tmp_path: Path, text: str, named: str) -> None:
    model = write_card(tmp_path, text)
    with pytest.raises(ArtifactError, match=named):
        card_beside(model)


def test_no_card_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        card_beside(model)
    model.touch()
    with pytest.raises(ArtifactError, match=rf"card\.toml.*{tmp_path.name}"):
        card_beside(model)


@pytest.mark.parametrize("name", ["x" * 5000, "model\0.onnx"], ids=["long", "zero byte"])
def test_a_path_that_the_system_refuses_is_no_model(name: str) -> None:
    with pytest.raises(ArtifactError):
        card_beside(Path(name))
    with pytest.raises(ArtifactError):
        build_detector("yunet", Path(name))


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").touch()
    with pytest.raises(ArtifactError, match=tmp_path.name):
        card_beside(Path("model.onnx"))


def test_a_folder_or_a_card_in_place_of_the_model_is_refused(tmp_path: Path) -> None:
    model = write_card(tmp_path)
    for wrong in (tmp_path, tmp_path / CARD_NAME):
        with pytest.raises(ArtifactError) as caught:
            card_beside(wrong)
        assert "ONNX" in caught.value.message
    assert card_beside(model)
