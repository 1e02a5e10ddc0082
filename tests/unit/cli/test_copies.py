"""Paths of annotated copies of ``mien batch``."""

from pathlib import Path

import pytest

from mien.batch.copies import AnnotatedCopies
from mien.batch.source import fixed_part


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("s3://bucket/photos", "s3://bucket/photos"),
        ("s3://bucket/photos/list.csv", "s3:/bucket/photos"),
        ("photos/list.csv", "photos"),
        ("photos/*/a.jpg", "photos"),
        ("*.jpg", "."),
    ],
)
def test_the_part_of_a_source_that_copies_leave_out(source: str, root: str) -> None:
    assert fixed_part(source) == root


def test_copy_of_a_photo_on_another_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, start: Path) -> str:
        raise ValueError(f"path is on mount {path}, start on mount {start}")

    monkeypatch.setattr("os.path.relpath", refuse)
    photo = Path(tmp_path.anchor) / "photos" / "x.jpg"
    place = AnnotatedCopies(tmp_path / "copies", tmp_path / "list").place(str(photo))
    assert place == tmp_path / "copies" / "photos" / "x.jpg"
