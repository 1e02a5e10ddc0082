import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien_train.data.fer2013 import FERPLUS_LABELS, load_fer2013, without_duplicates_of
from mien_train.errors import TrainingError


@pytest.fixture
def copy(fer_folder: Path, tmp_path: Path) -> Path:
    for name in ("fer2013.csv", "fer2013new.csv"):
        (tmp_path / name).write_text((fer_folder / name).read_text())
    return tmp_path


def edit(path: Path, row: int, change: Callable[[str], str]) -> None:
    """Change one row; rows count from 1 as editors do, the header first."""
    lines = path.read_text().splitlines()
    lines[row - 1] = change(lines[row - 1])
    path.write_text("\n".join(line for line in lines if line) + "\n")


def test_faces_labels_votes_and_usage_are_aligned(fer_folder: Path) -> None:
    data = load_fer2013(fer_folder)
    assert data.faces.shape == (72, 48, 48)
    assert data.faces.dtype == np.uint8
    majority = [FERPLUS_LABELS[index] for index in data.ferplus_majority()]
    assert majority[:2] == ["happy", "sad"]
    np.testing.assert_allclose(data.ferplus_distribution().sum(axis=1), 1)
    assert len(data.split("PublicTest")) == 16


def test_gzip_reads_the_same(copy: Path) -> None:
    plain = load_fer2013(copy)
    (copy / "fer2013.csv.gz").write_bytes(gzip.compress((copy / "fer2013.csv").read_bytes()))
    (copy / "fer2013.csv").unlink()
    np.testing.assert_array_equal(load_fer2013(copy).faces, plain.faces)


def test_without_votes_nothing_counts_in_the_majority_test(copy: Path) -> None:
    (copy / "fer2013new.csv").unlink()
    data = load_fer2013(copy)
    assert (data.ferplus_majority() == -1).all()
    assert data.ferplus_distribution().sum() == 0


# columns: neutral happiness surprise sadness anger disgust fear contempt unknown NF as published,
# here in this module's order: happiness sadness anger fear surprise neutral disgust contempt ...
@pytest.mark.parametrize(
    ("votes", "majority"),
    [
        ("6,4,0,0,0,0,0,0,0,0", "happy"),
        ("5,5,0,0,0,0,0,0,0,0", None),  # half is not more than half
        ("5,4,1,0,0,0,0,0,0,0", "happy"),  # a single vote is an outlier
        ("0,3,0,0,0,0,0,0,7,0", None),  # unknown
        ("0,0,0,0,0,0,0,0,0,10", None),  # not a face
        ("1,1,1,1,1,1,1,1,1,1", None),  # only outliers
    ],
)
def test_the_published_majority_protocol(copy: Path, votes: str, majority: str | None) -> None:
    edit(copy / "fer2013new.csv", 2, lambda line: ",".join([*line.split(",")[:2], votes]))
    index = load_fer2013(copy).ferplus_majority()[0]
    assert (FERPLUS_LABELS[index] if index >= 0 else None) == majority


@pytest.mark.parametrize(
    ("file", "row", "change", "message"),
    [
        ("fer2013.csv", 1, lambda _: "emotion,pixel,Usage", "row 1: missing columns"),
        ("fer2013.csv", 3, lambda s: s.replace(" ", "", 1), "row 3: 2303 pixels, not 2304"),
        ("fer2013.csv", 3, lambda s: s.replace(" ", " x", 1), "row 3: a pixel is not a number"),
        ("fer2013.csv", 3, lambda s: s.replace(" ", " 999 ", 1), "row 3: 2305 pixels"),
        ("fer2013.csv", 4, lambda s: "7" + s[1:], "row 4: emotion '7'"),
        ("fer2013.csv", 4, lambda s: s.replace("Training", "Test"), "row 4: usage 'Test'"),
        ("fer2013new.csv", 1, lambda s: s.replace("fear", "scared"), "row 1: missing columns"),
        ("fer2013new.csv", 5, lambda s: s.replace("8", "eight"), "row 5: a vote is not a number"),
        ("fer2013new.csv", 5, lambda s: s.replace("Training", "PublicTest"), "row 5: usage"),
        ("fer2013new.csv", 5, lambda _: "", "not aligned|71 rows for 72 faces"),
        ("fer2013new.csv", 73, lambda s: f"{s}\n{s}", "row 74: more rows than the 72 faces"),
    ],
)
def test_a_wrong_row_is_named(
    copy: Path, file: str, row: int, change: Callable[[str], str], message: str
) -> None:
    edit(copy / file, row, change)
    with pytest.raises(TrainingError, match=message) as caught:
        load_fer2013(copy)
    assert file in str(caught.value)


def test_out_of_range_pixels_are_named(copy: Path) -> None:
    edit(copy / "fer2013.csv", 2, lambda s: s.replace(s.split(",")[1].split()[5], "256", 1))
    with pytest.raises(TrainingError, match="row 2"):
        load_fer2013(copy)


def test_files_of_an_interrupted_download_are_named(copy: Path) -> None:
    path = copy / "fer2013.csv"
    text = path.read_bytes()
    path.write_bytes(text[: text.rindex(b",")].rsplit(b",", 1)[0])
    with pytest.raises(TrainingError, match="row 73"):
        load_fer2013(copy)
    path.unlink()
    packed = copy / "fer2013.csv.gz"
    packed.write_bytes(gzip.compress(text)[:-100])
    with pytest.raises(TrainingError, match=r"fer2013\.csv\.gz"):
        load_fer2013(copy)
    packed.write_bytes(b"no gzip")
    with pytest.raises(TrainingError, match=r"fer2013\.csv\.gz"):
        load_fer2013(copy)


def test_empty_folder_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not found"):
        load_fer2013(tmp_path)
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(TrainingError, match="no rows"):
        load_fer2013(tmp_path)


def test_a_missing_usage_is_named(copy: Path) -> None:
    training = load_fer2013(copy).split("Training")
    with pytest.raises(TrainingError, match="PublicTest"):
        training.split("PublicTest")


def test_duplicates_of_held_back_faces_leave_the_training(fer_folder: Path) -> None:
    data = load_fer2013(fer_folder)
    train, check = data.split("Training"), data.split("PublicTest")
    train.faces[5] = check.faces[2]
    kept = without_duplicates_of(train, check)
    assert len(kept) == len(train) - 1
    assert not any((face == check.faces[2]).all() for face in kept.faces)
