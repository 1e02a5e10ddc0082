"""Data in one file: the same faces and labels, without PrivateTest; other files are refused."""

from pathlib import Path

import numpy as np
import pytest

from mien_train import cli
from mien_train.data import load_data
from mien_train.data.packed import load_packed, pack
from mien_train.errors import TrainingError


def test_a_packed_file_matches_the_folder(fer_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "faces.npz"
    assert cli.main(["pack", str(fer_folder), "--out", str(file)]) == 0
    whole, packed = load_data(fer_folder, "usage"), load_data(file, "usage")
    assert set(packed.usage) == {"Training", "PublicTest"}
    expected = whole.rows(whole.usage != "PrivateTest")
    for name in ("faces", "fer2013", "votes", "usage"):
        np.testing.assert_array_equal(getattr(packed, name), getattr(expected, name))


def test_an_existing_file_is_kept(fer_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "faces.npz"
    file.write_bytes(b"mine")
    assert cli.main(["pack", str(fer_folder), "--out", str(file)]) == 1
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_other_files_are_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "faces.npz"
    if content is None:
        np.savez(file, other=np.zeros(3))
    else:
        file.write_bytes(content)
    with pytest.raises(TrainingError):
        load_packed(file)


def test_a_truncated_file_is_refused(fer_folder: Path, tmp_path: Path) -> None:
    file, part = tmp_path / "faces.npz", tmp_path / "part.npz"
    pack(load_data(fer_folder, "usage"), file)
    part.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError):
        load_packed(part)
