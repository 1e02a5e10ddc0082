"""Shards without Ray: a shard is whole or absent, and a second attempt gives the same."""

import json
import os
import pickle
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mien.batch import lock
from mien.batch.lock import locked
from mien.batch.shards import Plan, RunFolder, ShardWorker
from mien.batch.storage import open_folder
from mien.batch.table import read_rows
from mien.batch.task import Content, Outcome, Progress
from mien.deadline import Deadline
from mien.errors import DeadlineExceededError, InvalidParameterError
from programs import posix

COLUMNS = ["path", "error_code"]
EMPTY = Plan({"source": "x"}, COLUMNS)


@dataclass(frozen=True)
class DeadlyTask:
    """Kills its process for an image with such a name."""

    def __call__(self) -> Callable[[str, Content], Outcome]:
        return self.analyzed

    def analyzed(self, path: str, content: Content) -> Outcome:
        if "deadly" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"path": path, "error_code": None}], Progress(1, 0, 0.5, Counter(["happy"]))

    def crashed(self, path: str) -> Outcome:
        progress = Progress(1, 1, failures=[path])
        return [{"path": path, "error_code": "internal_error"}], progress


def run_folder(place: object, suffix: str = ".jsonl") -> RunFolder:
    return RunFolder(open_folder(str(place)), suffix)


@pytest.mark.parametrize("scheme", ["", "file://", "local://", "memory://"])
def test_a_run(tmp_path: Path, scheme: str) -> None:
    folder = pickle.loads(pickle.dumps(run_folder(f"{scheme}{tmp_path}/run")))
    assert folder.plan() is None
    assert not folder.is_foreign()
    images = ["a.jpg", "b\udcff.jpg", "c.jpg"]
    plan = folder.extend(EMPTY, iter(images), 2)
    assert plan == folder.plan() == Plan({"source": "x"}, COLUMNS, ((3, 2),))
    assert (plan.shard_sizes(), plan.images) == ([2, 1], 3)
    assert folder.finished() == frozenset()
    finish = ShardWorker(DeadlyTask(), folder, COLUMNS).finish
    assert finish(1) == (1, Progress(1, 0, 0.5, Counter(happy=1)))
    assert folder.finished() == {1}
    assert finish(1) == (1, Progress())
    assert finish(0)[1].images == 2
    plan = folder.extend(plan, ["d.jpg"], 5)
    assert (plan.shard_sizes(), folder.images(2)) == ([2, 1, 1], ["d.jpg"])
    finish(2)
    assert [record["path"] for record in folder.records(range(3))] == [*images, "d.jpg"]
    folder.sweep()
    assert folder.folder.names() == ["0000000.jsonl", "0000001.jsonl", "0000002.jsonl"]
    folder.delete()
    assert folder.folder.names() == []
    assert folder.plan() is None


def test_deleting_a_run_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    folder = run_folder(tmp_path)
    folder.extend(EMPTY, ["a.jpg"], 1)
    folder.delete()
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert folder.is_foreign()


def test_marks_of_an_earlier_run_do_not_slow_down_a_new_one(tmp_path: Path) -> None:
    """A run may be killed between the deletion of its plan and that of the rest."""
    folder = run_folder(tmp_path)
    folder.extend(EMPTY, ["a.jpg"], 1)
    assert not folder.mark_started(0)
    folder.folder.remove(["_plan/plan.json"])
    folder.remove_shards()
    folder.extend(EMPTY, ["b.jpg"], 1)
    assert not folder.mark_started(0)


def test_unfinished_files_are_ignored(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, ".parquet")
    plan = folder.extend(EMPTY, ["a.jpg"], 1)
    left = tmp_path / "_unfinished-0123-0000000.parquet"
    left.write_bytes(b"PAR1")
    assert folder.finished() == frozenset()
    assert ShardWorker(DeadlyTask(), folder, COLUMNS).finish(0)[1].images == plan.images
    folder.sweep()
    assert not left.exists()
    assert list(read_rows(tmp_path)) == [{"path": "a.jpg", "error_code": None}]


def test_a_stopped_shard_is_not_finished(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    folder.extend(EMPTY, ["a.jpg", "b.jpg"], 2)
    with Deadline(0).observed(), pytest.raises(DeadlineExceededError):
        ShardWorker(DeadlyTask(), folder, COLUMNS).finish(0)
    assert not folder.finished()


@posix
def test_a_crashing_image_is_found_at_the_second_attempt(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    folder.extend(EMPTY, ["a.jpg", "deadly.jpg", "b.jpg"], 5)
    child = os.fork()
    if not child:
        ShardWorker(DeadlyTask(), folder, COLUMNS).finish(0)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not folder.finished()
    _, progress = ShardWorker(DeadlyTask(), folder, COLUMNS).finish(0)
    assert (progress.images, progress.failed) == (3, 1)
    assert progress.failures == ["deadly.jpg"]
    codes = [record["error_code"] for record in folder.records([0])]
    assert codes == [None, "internal_error", None]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    with folder.locked():
        with pytest.raises(InvalidParameterError), folder.locked():
            pass
        with run_folder(f"memory://{tmp_path}").locked():
            pass
    with folder.locked():
        pass


def test_a_folder_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidParameterError), locked(tmp_path / "file" / "_plan" / "lock"):
        pass


@posix
def test_a_lock_on_a_deleted_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder deletes the file after another process has opened it."""
    path = tmp_path / "run" / "lock"
    flock = lock.fcntl.flock

    def late(*arguments: object) -> None:
        path.unlink()
        flock(*arguments)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with pytest.raises(InvalidParameterError), locked(path):
        pass


def test_another_folder_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (tmp_path / "_plan").mkdir()
    for content in ("{", "[]", json.dumps({"other": 1}), json.dumps({"parts": [], "other": 1})):
        (tmp_path / "_plan" / "plan.json").write_text(content)
        with pytest.raises(InvalidParameterError):
            folder.plan()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidParameterError):
        list(read_rows(tmp_path / "empty"))
