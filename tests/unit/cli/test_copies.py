"""What ``mien batch`` keeps beside its table, and where: locks and copies."""

from pathlib import Path

import pytest

from mien.batch.journal import lock
from mien.cli.work import Copies
from mien.errors import InvalidParameterError


def test_a_second_lock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv.journal"
    with path.open("a+b") as first:
        lock(first, path)
        first.write(b"a line\n")
        first.flush()
        assert path.read_bytes() == b"a line\n", "what is there can be read"
        with path.open("a+b") as second, pytest.raises(InvalidParameterError):
            lock(second, path)
    with path.open("a+b") as third:
        lock(third, path)


def test_a_photo_on_another_drive_has_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, start: Path) -> str:
        raise ValueError(f"path is on mount {path}, start on mount {start}")

    monkeypatch.setattr("os.path.relpath", refuse)
    photo = Path(tmp_path.anchor) / "photos" / "x.jpg"
    place = Copies(tmp_path / "copies", tmp_path / "list").place(str(photo))
    assert place == tmp_path / "copies" / "photos" / "x.jpg"
