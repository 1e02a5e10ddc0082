"""Shards without Ray: what is there is whole, and what is done twice is done the same way."""

import json
import os
import pickle
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs
import pytest

from mien.batch.job import Done, Fetched, Tally, fetch
from mien.batch.shards import Plan, Shards, ShardWorker
from mien.batch.source import photos_of
from mien.batch.storage import Folder, opened, read
from mien.batch.table import read_rows
from mien.errors import ImageError, InvalidParameterError
from programs import posix

COLUMNS = ["path", "error_code"]


@dataclass(frozen=True)
class DeadlyJob:
    """Kills its process for a photo with such a name."""

    def __call__(self) -> "DeadlyWorker":
        return DeadlyWorker()

    def died(self, path: str) -> Done:
        return Done([(path, "internal_error")], failed=True)


class DeadlyWorker:
    def __call__(self, path: str) -> Done:
        return self.work(fetch(path))

    def work(self, fetched: Fetched) -> Done:
        if "deadly" in fetched.path:
            os.kill(os.getpid(), signal.SIGKILL)
        return Done([(fetched.path, None)], ("happy",), seconds=0.5)


def shards_of(place: object, suffix: str = ".jsonl") -> Shards:
    return Shards(Folder(str(place)), suffix)


@pytest.mark.parametrize("scheme", ["", "file://", "local://", "memory://"])
def test_a_run(tmp_path: Path, scheme: str) -> None:
    place = f"{scheme}{tmp_path}/run"
    shards = pickle.loads(pickle.dumps(shards_of(place)))
    assert shards.plan() is None
    photos = ["a.jpg", "b\udcff.jpg", "c.jpg"]
    plan = shards.begin(iter(photos), 2, COLUMNS, {"source": "x"})
    assert plan == shards.plan() == Plan(COLUMNS, {"source": "x"}, photos=3, size=2)
    assert (plan.shards, plan.photos_in([0]), plan.photos_in([0, 1])) == (2, 2, 3)
    assert shards.done() == frozenset()
    work = ShardWorker(DeadlyJob(), shards, COLUMNS)
    done = work(1)
    assert (done.shard, done.tally) == (1, Tally(1, 0, 0.5, done.tally.emotions))
    assert shards.done() == {1}
    assert work(1).tally is None
    assert work(0).tally.photos == 2
    assert list(shards.rows(plan)) == [[photo, None] for photo in photos]
    shards.sweep()
    assert shards.folder.names() == ["0000000.jsonl", "0000001.jsonl"]
    shards.delete()
    assert shards.folder.names() == []
    assert shards.plan() is None


def test_no_photo_no_shard(tmp_path: Path) -> None:
    plan = shards_of(tmp_path).begin([], 5, COLUMNS, {})
    assert (plan.shards, plan.photos_in([])) == (0, 0)


def test_what_was_left_unfinished_counts_for_nothing(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, ".parquet")
    plan = shards.begin(["a.jpg"], 1, COLUMNS, {})
    left = tmp_path / "_unfinished-0123-0000000.parquet"
    left.write_bytes(b"PAR1")
    assert shards.done() == frozenset()
    assert ShardWorker(DeadlyJob(), shards, COLUMNS)(0).tally.photos == plan.photos
    shards.sweep()
    assert not left.exists()
    assert list(read_rows(tmp_path)) == [{"path": "a.jpg", "error_code": None}]


@posix
def test_a_photo_that_kills_is_found_at_the_third_try(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    shards = shards_of(tmp_path)
    plan = shards.begin(["a.jpg", "deadly.jpg", "b.jpg"], 5, COLUMNS, {})
    for tries in (1, 2):
        child = os.fork()
        if not child:
            ShardWorker(DeadlyJob(), shards, COLUMNS)(0)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert len(list((tmp_path / "_plan" / "tries" / "0000000").iterdir())) == tries
        assert not shards.done()
        assert not list(temporary.iterdir())
    done = ShardWorker(DeadlyJob(), shards, COLUMNS)(0)
    assert (done.tally.photos, done.tally.failed) == (3, 1)
    assert [row[1] for row in shards.rows(plan)] == [None, "internal_error", None]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    shards = shards_of(tmp_path)
    with shards.locked(), pytest.raises(InvalidParameterError), shards.locked():
        pass
    with shards.locked(), shards_of(f"memory://{tmp_path}").locked():
        pass


def test_a_foreign_folder(tmp_path: Path) -> None:
    shards = shards_of(tmp_path)
    (tmp_path / "_plan").mkdir()
    for content in ("{", "[]", json.dumps({"other": 1})):
        (tmp_path / "_plan" / "plan.json").write_text(content)
        with pytest.raises(InvalidParameterError, match=tmp_path.name):
            shards.plan()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidParameterError, match="empty"):
        list(read_rows(tmp_path / "empty"))


@pytest.mark.parametrize(
    "place", ["memory://gone/x.jpg", "file:///", "odd://x/y.jpg", "https://example.org/x.jpg"]
)
def test_photos_that_are_out_of_reach(place: str) -> None:
    picture = fetch(place).picture
    assert isinstance(picture, ImageError)
    assert picture.code == "unreadable_file"
    if place.startswith("odd"):
        assert "fsspec" in picture.message


def test_a_path_is_left_to_whoever_reads_it() -> None:
    assert fetch("gone.jpg").picture == Path("gone.jpg")


def test_names_with_odd_characters(tmp_path: Path) -> None:
    (tmp_path / "a b%20#ü.jpg").write_bytes(b"x")
    assert list(photos_of(f"local://{tmp_path}")) == [f"local://{tmp_path}/a b%20#ü.jpg"]
    assert read(f"local://{tmp_path}/a b%20#ü.jpg") == b"x"
    # What is said in a file's URI is percent-encoded (RFC 8089).
    assert read(f"file://{tmp_path}/a%20b%2520#ü.jpg") == b"x"


def test_buckets_are_pyarrows_own() -> None:
    files, path = opened("gs://bucket/deep er/x.jpg")
    assert isinstance(files, pyarrow.fs.GcsFileSystem)
    assert path == "bucket/deep er/x.jpg"


def test_sources_in_a_store(tmp_path: Path) -> None:
    folder = Folder(f"memory://{tmp_path}")
    folder.write("photos/deep/b.jpg", b"")
    folder.write("photos/a.PNG", b"")
    folder.write("photos/notes.md", b"")
    folder.write("lists/list.csv", b"\xef\xbb\xbfuri,x\na.jpg,1\ns3://b/c.jpg,2\n")
    folder.write("lists/empty.txt", b"\n")
    photos = f"memory://{tmp_path}/photos"
    assert list(photos_of(photos)) == [f"{photos}/a.PNG", f"{photos}/deep/b.jpg"]
    assert list(photos_of(f"memory://{tmp_path}/lists/list.csv")) == [
        f"memory://{tmp_path}/lists/a.jpg",
        "s3://b/c.jpg",
    ]
    for source in ("lists/empty.txt", "lists/gone.txt", "gone"):
        with pytest.raises(InvalidParameterError, match=source):
            list(photos_of(f"memory://{tmp_path}/{source}"))
