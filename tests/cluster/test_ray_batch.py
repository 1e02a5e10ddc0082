"""``mien batch --engine ray`` as users run it, on real Rays; what is killed is killed for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from PIL import Image

from http_fakes import wait_until
from mien.batch.table import FOLDER_SUFFIX, SUFFIXES, read_rows
from samples import encode

HERE = Path(__file__).parent
# So that there is time to kill somebody.
SLOW = ["--min-face-size", 12]
MIEN = ["-m", "mien"]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *MIEN, "batch", *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, **options
    )


def begin(*arguments: object, program: Sequence[object] = MIEN) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, [*program, "batch", *arguments])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    _, message = process.communicate(timeout=300)
    assert process.returncode == 0, message
    return message


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{FOLDER_SUFFIX}"))


def paths_in(table: Path) -> Counter[str]:
    return Counter(str(row["path"]) for row in read_rows(table))


def totals_in(message: str) -> str:
    (line,) = (line for line in message.splitlines() if " per second" in line)
    return line.partition(";")[0]


def actors() -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if "MapWorker" in " ".join(p.info["cmdline"] or [])
    ]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, face_photo: bytes) -> Path:
    """120 photos, and one that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(120):
        (folder / f"{number:04}.jpg").write_bytes(face_photo)
    (folder / "0500.jpg").write_bytes(face_photo[:5000])
    return folder


@pytest.fixture
def mixed(tmp_path: Path, face_photo: bytes) -> Path:
    """A photo with a face, one without, two that fail, one with an odd name, and no photo."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.JPG").write_bytes(face_photo)
    (folder / "a.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    (folder / "deeper" / "c.jpg").write_bytes(face_photo[:5000])
    (folder / "deeper" / "d.webp").write_bytes(b"")
    shutil.copy(folder / "b.JPG", os.fsencode(folder) + b"/\xff.jpg")
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_the_same_rows_as_the_local_engine(mixed: Path, tmp_path: Path, cluster: dict) -> None:
    names = ["a.png", "b.JPG", f"file://{mixed}/b.JPG", f"local://{mixed}/deeper/c.jpg", "gone.jpg"]
    names += [f"file://{mixed}/gone.jpg", "https://example.org/x.jpg", "odd://x/y.jpg"]
    (mixed / "list.txt").write_text("\n".join(names))
    on_ray = ["--engine", "ray", "--address", cluster["address"]]
    common = ["--include", "scores,landmarks", "--labels", "eight"]
    for source, name in ((mixed, "folder"), (f"file://{mixed}/list.txt", "list")):
        here, there = tmp_path / f"here-{name}.csv", tmp_path / f"there-{name}.csv"
        locally = run(source, "--out", here, *common)
        done = run(source, "--out", there, *common, *on_ray, "--shard-size", 2)
        assert (done.returncode, locally.returncode) == (1, 1), done.stderr
        assert there.read_bytes() == here.read_bytes()
        assert not Path(f"{there}.shards").exists()
        totals = [totals_in(message) for message in (locally.stderr, done.stderr)]
        assert totals[0] == totals[1]
    folder = tmp_path / "folder"
    run(mixed, "--out", folder, *on_ray, "--shard-size", 2)
    run(mixed, "--out", tmp_path / "one.parquet")
    assert list(read_rows(folder)) == list(read_rows(tmp_path / "one.parquet"))
    assert len(tables(folder)) == 3
    again = run(mixed, "--out", folder, *on_ray, "--resume")
    assert (again.returncode, "nothing to do" in again.stderr) == (1, True)
    assert "exists" in run(mixed, "--out", folder, *on_ray).stderr
    other = run(mixed, "--out", folder, *on_ray, "--resume", "--labels", "seven")
    assert (other.returncode, "labels was six, now seven" in other.stderr) == (2, True)
    # The local engine continues what Ray has begun.
    shutil.copy(mixed / "b.JPG", mixed / "new.jpg")
    added = run(mixed, "--out", folder, "--resume")
    assert "1 image, 1 face, 0 failed, 5 finished before" in added.stderr
    assert len(tables(folder)) == 4


def test_the_driver_is_killed_and_the_run_resumed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    some = photos / "00[0-5]*.jpg"
    common = [some, "--out", out, "--engine", "ray", "--shard-size", 5, *SLOW, "--resume"]
    process = begin(*common)
    folder = tmp_path / "results.csv.shards"
    wait_until(lambda: len(list(folder.glob("*.jsonl"))) > 2, 120)
    whole = psutil.Process(process.pid).children(recursive=True)
    assert not [p for p in whole if "DASHBOARD_HEAD" in " ".join(p.cmdline())]
    agents = [p for p in whole if "Agent" in p.name()]
    environment = next(p for p in whole if "raylet" in p.name()).environ()
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Nobody who works is left behind; Ray's agents take a while to believe it.
    working = [p for p in whole if p not in agents]
    assert not psutil.wait_procs(working, timeout=30)[1]
    assert not out.exists()
    without = run(*common[:-1])
    assert (without.returncode, "continue it with --resume" in without.stderr) == (2, True)
    done = run(*common)
    assert "finished before" in done.stderr
    assert paths_in(out) == {str(photo): 1 for photo in photos.glob(some.name)}
    assert not folder.exists()


def test_workers_and_a_node_are_killed_half_way(photos: Path, tmp_path: Path, doomed: dict) -> None:
    out = tmp_path / "results"
    common = ["--engine", "ray", "--address", doomed["address"], "--shard-size", 5, *SLOW]
    process = begin(photos, "--out", out, *common, "--stall-after", 1)
    wait_until(lambda: len(tables(out)) > 1, 120)
    # All that is there stands still for a while, which the watchdog tells.
    victim, *others = stopped = actors()
    for actor in stopped:
        actor.suspend()
    # One run at a time.
    second = run(photos, "--out", out, *common, "--resume")
    assert (second.returncode, "another run is writing" in second.stderr) == (2, True)
    time.sleep(2.5)
    # A worker process that dies is one that Ray starts again.
    victim.kill()
    for actor in others:
        actor.resume()
    done = len(tables(out))
    wait_until(lambda: len(tables(out)) > done + 1, 120)
    # The second node is gone for good; what it had begun is done by the first.
    assert len(tables(out)) < 20
    os.kill(doomed["raylets"][1], signal.SIGKILL)
    _, message = process.communicate(timeout=300)
    assert process.returncode == 1, message
    assert "no shard was finished for" in message
    assert "Ray has 2 nodes with 2 cores" in message
    assert paths_in(out) == {str(photo): 1 for photo in photos.glob("*.jpg")}
    left = [p.name for p in out.rglob("*") if "unfinished" in p.name or "started" in str(p)]
    assert not left


def test_a_photo_that_kills_costs_a_row(tmp_path: Path, cluster: dict) -> None:
    command = [sys.executable, HERE / "poisoned.py", cluster["address"], tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["shards"] == [[0, 2, 1], [1, 2, 0]]
    names = ["a.jpg", "deadly.jpg", "b.jpg", "c.jpg"]
    codes = [None, "internal_error", None, None]
    assert [record["path"] for record in printed["records"]] == names
    assert [record["error_code"] for record in printed["records"]] == codes


@pytest.mark.parametrize(("end", "status"), [("interrupt", 130), ("error", 1)])
def test_no_thread_outlives_the_work(
    tmp_path: Path, photos: Path, cluster: dict, end: str, status: int
) -> None:
    out = tmp_path / "results"
    common = ["--engine", "ray", "--address", cluster["address"], "--shard-size", 5, *SLOW]
    some = photos / "00[0-3]*.jpg"
    process = begin(some, "--out", out, *common, program=[HERE / "lingering.py"])
    # More than there are nodes: the first are waited for without such threads.
    wait_until(lambda: len(tables(out)) > 2, 120)
    if end == "interrupt":
        process.send_signal(signal.SIGINT)
    else:
        shutil.move(out / "_plan", tmp_path / "aside")
    _, message = process.communicate(timeout=300)
    assert process.returncode == status, message
    assert "--resume" in message.splitlines()[-1]


def test_results_that_cant_be_written(tmp_path: Path, photos: Path, cluster: dict) -> None:
    out = tmp_path / "results"
    common = ["--engine", "ray", "--address", cluster["address"], "--shard-size", 5, *SLOW]
    some = photos / "00[0-3]*.jpg"
    process = begin(some, "--out", out, *common)
    wait_until(lambda: bool(tables(out)), 120)
    shutil.move(out / "_plan", tmp_path / "aside")
    _, message = process.communicate(timeout=300)
    assert (process.returncode, "Traceback" in message) == (1, False), message
    assert "the results cannot be written" in message.splitlines()[-1]
    shutil.rmtree(out / "_plan", ignore_errors=True)
    shutil.move(tmp_path / "aside", out / "_plan")
    resumed = run(some, "--out", out, *common, "--resume")
    assert "finished before" in resumed.stderr
    assert paths_in(out) == {str(photo): 1 for photo in photos.glob(some.name)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder, glob or manifest"),
        (["file:///nowhere"], "file:///nowhere: no such folder or manifest"),
        (["file:///nowhere/list.txt"], "cannot be read"),
        (["https://example.org/photos"], "https://example.org/photos: images are not downloaded"),
        ([".", "--address", "127.0.0.1:1"], "nothing listens at 127.0.0.1:1"),
        ([".", "--address", "here"], "expected HOST:PORT of the Ray cluster's head, got 'here'"),
        ([".", "--out", "r.xls"], f"must end with {', '.join(SUFFIXES)}"),
        ([".", "--out", "full"], "full exists and holds other files"),
        ([".", "--out", "file"], "--out: cannot write to file"),
        ([".", "--out", "r.csv", "--stall-after", "0"], "at least 1"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.parquet").write_text("")
    (tmp_path / "file").write_text("")
    out = [] if "--out" in arguments else ["--out", "results"]
    done = run(*arguments, *out, "--engine", "ray", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_nobody_takes_part_without_the_token(mixed: Path, tmp_path: Path, cluster: dict) -> None:
    common = ["--out", tmp_path / "out", "--engine", "ray", "--address", cluster["address"]]
    done = run(
        mixed,
        *common,
        env={**os.environ, "RAY_AUTH_TOKEN": "0" * 64},
    )
    assert done.returncode == 2
    assert "cannot join the cluster" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["ray", "pyarrow"])
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    (tmp_path / f"{missing}.py").write_text("raise ImportError")
    (tmp_path / "a.png").write_bytes(b"")
    code = "import sys; sys.path.insert(0, '.'); from mien.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "batch", ".", "--out", "r.csv", "--engine", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "mien: --engine ray: it is not installed; install it with: pip install 'mien[cluster]'\n",
    )
