"""Folder trees and the reference's split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien_train.data.fer2013 import FER2013_LABELS, FerDataset, no_votes
from mien_train.data.split import held_back, reference_split
from mien_train.data.tree import is_tree, load_tree
from mien_train.errors import TrainingError


def put(folder: Path, name: str, count: int, level: int, size: int = 48) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.new("L", (size, size), level + index).save(folder / f"{name}{index}.png")


def test_a_tree_with_all_parts(tmp_path: Path) -> None:
    put(tmp_path / "train" / "happy", "a", 3, 10)
    put(tmp_path / "train" / "Sadness", "b", 2, 50, size=96)
    put(tmp_path / "validation" / "angry", "c", 1, 100)
    put(tmp_path / "test" / "fear", "d", 2, 200)
    (tmp_path / "train" / "happy" / "notes.txt").write_text("not a picture")
    assert is_tree(tmp_path)
    data = load_tree(tmp_path)
    assert [FER2013_LABELS[label] for label in data.fer2013] == (
        ["sad"] * 2 + ["happy"] * 3 + ["angry"] + ["fear"] * 2
    )
    assert data.usage.tolist() == ["Training"] * 5 + ["PublicTest"] + ["PrivateTest"] * 2
    assert data.faces.shape == (8, 48, 48)
    assert data.faces[:, 20, 20].tolist() == [50, 51, 10, 11, 12, 100, 200, 201]
    assert (data.ferplus_majority() == -1).all()


def test_without_validation_a_fifth_of_train_is_used(tmp_path: Path) -> None:
    put(tmp_path / "train" / "happy", "a", 10, 10)
    put(tmp_path / "train" / "sad", "b", 5, 50)
    put(tmp_path / "test" / "sad", "c", 5, 100)
    data = load_tree(tmp_path)
    parts = {usage: data.fer2013[data.usage == usage].tolist() for usage in set(data.usage)}
    assert sorted(parts["PublicTest"]) == [3, 3, 4]
    assert len(parts["Training"]) == 12
    assert parts["PrivateTest"] == [4] * 5
    assert (load_tree(tmp_path).usage == data.usage).all()


def test_invalid_trees_are_refused(tmp_path: Path) -> None:
    assert not is_tree(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(TrainingError, match="no images"):
        load_tree(tmp_path)
    put(tmp_path / "train" / "bored", "a", 1, 0)
    with pytest.raises(TrainingError, match="bored: not an emotion"):
        load_tree(tmp_path)
    (tmp_path / "train" / "bored").rename(tmp_path / "train" / "happy")
    (tmp_path / "train" / "happy" / "z.jpg").write_text("no picture")
    with pytest.raises(TrainingError, match=r"z\.jpg: "):
        load_tree(tmp_path)


def dataset(labels: list[int]) -> FerDataset:
    return FerDataset(
        faces=np.zeros((len(labels), 48, 48), dtype=np.uint8),
        fer2013=np.array(labels),
        votes=no_votes(len(labels)),
        usage=np.array(["Training"] * len(labels)),
    )


def test_the_reference_split_is_stratified_and_deterministic() -> None:
    data = dataset([0] * 200 + [1] * 40 + [6] * 1000)
    split = reference_split(data)
    for label, count in ((0, 200), (1, 40), (6, 1000)):
        of_label = split.usage[data.fer2013 == label].tolist()
        assert of_label.count("PrivateTest") == 0.15 * count
        assert of_label.count("PublicTest") == round(0.2 * 0.85 * count)
    assert (reference_split(data).usage == split.usage).all()


def test_a_label_with_one_row_stays_in_training() -> None:
    assert held_back(np.array([5]), 0.2).tolist() == []
    assert held_back(np.array([], dtype=np.int64), 0.2).tolist() == []
