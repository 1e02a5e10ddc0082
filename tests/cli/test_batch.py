"""``mien batch`` and ``mien report`` as users run them; kills and full queues are real."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from http_fakes import wait_until
from mien.artifacts import load_card
from mien.batch.paths import path_from_text
from mien.batch.table import SUFFIXES, TABLE_FORMATS, read_rows
from programs import posix
from samples import encode

MIEN = [sys.executable, "-m", "mien"]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*MIEN, *map(str, arguments)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, **options
    )


def begin(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [*MIEN, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def fill(folder: Path, photo: bytes, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(photo)
    return folder


def rows_of(path: Path) -> list[dict[str, object]]:
    return list(read_rows(path))


def finished(out: Path) -> int:
    """Return how many shards of an unfinished run are finished."""
    return len(list(out.with_name(f"{out.name}.shards").glob("[0-9]*.jsonl")))


def files_beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.glob(f"{out.name}*"))


@pytest.fixture(scope="module")
def small(astronaut) -> bytes:
    """One face, quickly read."""
    return encode(Image.fromarray(astronaut).resize((192, 192)), "JPEG")


@pytest.fixture
def mixed(tmp_path: Path, face_photo: bytes) -> Path:
    """A photo with a face, one without, two that fail, and a file that is no photo at all."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    (folder / "b.JPG").write_bytes(face_photo)
    (folder / "a.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    (folder / "deeper" / "c.jpg").write_bytes(face_photo[:5000])
    (folder / "deeper" / "d.webp").write_bytes(b"")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_row_per_face_and_per_failure(mixed: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"results{suffix}"
    done = run("batch", mixed, "--out", out)
    assert done.returncode == 1
    assert "4 images, 1 face, 2 failed" in done.stderr
    assert ".txt (not an image format): 1" in done.stderr.splitlines()[-1]
    rows = rows_of(out)
    assert [Path(str(row["path"])).name for row in rows] == ["a.png", "b.JPG", "c.jpg", "d.webp"]
    assert [row["error_code"] or "" for row in rows] == ["", "", "truncated_image", "empty_upload"]
    assert [row["emotion"] or "" for row in rows] == ["", "happy", "", ""]
    # As it was rounded: to single precision it would be another number.
    assert len(str(rows[1]["confidence"])) <= len("0.9999")
    assert files_beside(out) == [out.name, f"{out.name}.run.json"]


def test_the_rows_are_those_of_analyze(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    common = ["--labels", "eight", "--include", "scores,landmarks,detection,quality"]
    run("batch", mixed, "--out", out, *common)
    photos = [mixed / name for name in ("a.png", "b.JPG", "deeper/c.jpg", "deeper/d.webp")]
    analyzed = run("analyze", "--csv", *common, *photos)
    assert out.read_text() == analyzed.stdout


def test_json_lines_are_those_of_analyze(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    run("batch", mixed, "--out", out, "--include", "landmarks")
    photos = [mixed / name for name in ("a.png", "b.JPG", "deeper/c.jpg", "deeper/d.webp")]
    analyzed = run("analyze", "--jsonl", "--include", "landmarks", *photos)

    def without_seconds(text: str) -> list[dict[str, object]]:
        objects = [json.loads(line) for line in text.splitlines()]
        return [{k: v for k, v in each.items() if k != "seconds"} for each in objects]

    assert without_seconds(out.read_text()) == without_seconds(analyzed.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_every_table_shows_names_that_are_not_utf_8_alike(small: bytes, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    name = os.fsencode(photos) + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(small)
    for suffix in SUFFIXES:
        out = tmp_path / f"results{suffix}"
        assert run("batch", photos, "--out", out).returncode == 0
        (row,) = rows_of(out)
        assert row["path"] == rf"{photos}/caf\xe9.jpg"
        assert os.fsencode(path_from_text(str(row["path"]))) == name
        (tmp_path / "results.html").unlink(missing_ok=True)
        assert run("report", out).returncode == 0
        page = (tmp_path / "results.html").read_text()
        assert r'title="caf\xe9.jpg"' in page


def test_a_table_for_excel(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    run("batch", mixed / "a.*", "--out", out, "--excel")
    assert out.read_bytes().startswith(b"\xef\xbb\xbfpath,")
    assert run("report", out).returncode == 0
    other = run("batch", mixed, "--out", tmp_path / "r.parquet", "--excel")
    assert (other.returncode, "--excel" in other.stderr) == (2, True)


def test_skipped_files_are_shown(mixed: Path, tmp_path: Path) -> None:
    (mixed / "deeper" / "scan.tif").write_bytes(b"")
    done = run("batch", mixed, "--out", tmp_path / "r.csv", "--verbose")
    assert f"skipped: {mixed / 'deeper' / 'scan.tif'}: .tif (TIFF)" in done.stderr
    assert f"skipped: {mixed / 'notes.txt'}: .txt" in done.stderr
    inside = run("batch", mixed, "--out", mixed / "r.csv", "--verbose")
    assert f"skipped: {mixed / 'notes.txt'}: .txt" in inside.stderr
    assert f"skipped: {mixed / 'r.csv'}" not in inside.stderr
    # A folder with a shorter name beside the source.
    beside = run("batch", mixed, "--out", str(mixed)[:-1], "--verbose")
    assert f"skipped: {mixed / 'notes.txt'}: .txt" in beside.stderr


def test_sources(mixed: Path, tmp_path: Path) -> None:
    listed = {"path": ["b.JPG", "deeper/c.jpg", None], "other": [1, 2, 3]}
    pq.write_table(pa.table(listed), mixed / "list.parquet")
    (mixed / "list.csv").write_text("\ufeffuri,other\nb.JPG,1\n,2\ndeeper/c.jpg,3\n")
    (mixed / "list.txt").write_text("b.JPG\n\ndeeper/c.jpg\nhttps://example.org/x.jpg\n")
    for source, names in (
        (mixed / "list.parquet", ["b.JPG", "c.jpg"]),
        (mixed / "list.csv", ["b.JPG", "c.jpg"]),
        (mixed / "list.txt", ["b.JPG", "c.jpg", "x.jpg"]),
        (f"{mixed}/**/*.[jJ]*", ["b.JPG", "c.jpg"]),
        (f"{mixed}/*.png", ["a.png"]),
    ):
        out = tmp_path / "results.csv"
        run("batch", source, "--out", out)
        rows = rows_of(out)
        assert [Path(str(row["path"])).name for row in rows] == names, source
        if source == mixed / "list.txt":
            assert rows[2]["path"] == "https://example.org/x.jpg"
            assert rows[2]["error_code"] == "unreadable_file"
        out.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "r.csv"], "nowhere: no such folder, glob or manifest"),
        (["a.png", "--out", "r.csv"], "a.png is a single file"),
        (["*.gif", "--out", "r.csv"], "*.gif: no image was found"),
        (["a" * 300, "--out", "r.csv"], "no such folder, glob or manifest"),
        (["list.csv", "--out", "r.csv"], "it has: name"),
        (["empty.txt", "--out", "r.csv"], "the manifest lists no image"),
        (["broken.parquet", "--out", "r.csv"], "the manifest cannot be read"),
        (["https://a.org/b.csv", "--out", "r.csv"], "https://a.org/b.csv: images are not"),
        ([".", "--out", "results.xls"], f"must end with {', '.join(SUFFIXES)}"),
        ([".", "--out", "no-folder/r.csv"], "--out: no such folder: no-folder"),
        ([".", "--out", "list.csv"], "list.csv exists"),
        ([".", "--out", "list.csv", "--resume"], "list.csv.run.json with its options is missing"),
        ([".", "--out", "full"], "full exists and holds other files"),
        ([".", "--out", "r.csv", "--annotate", "copies"], "copies is inside ."),
        (["**/*.png", "--out", "r.csv", "--annotate", "copies"], "copies is inside **/*.png"),
        (["*.png", "--out", "r.csv", "--annotate", "."], "--annotate: . holds the photos"),
        ([".", "--out", "r.csv", "--address", "10.1.1.1:6379"], "--address: needs --engine ray"),
        ([".", "--out", "r.csv", "--detector", "eyes"], "no detector 'eyes'"),
        ([".", "--out", "r.csv", "--labels", "nine"], "invalid choice: 'nine'"),
        (["."], "the following arguments are required: --out"),
        (["a.png", "b.png", "c.png", "--out", "r.csv"], "one SOURCE, got 3; put a glob in quotes"),
        ([".", "--out", "r.csv", "--thread", "2"], "unrecognized arguments: --thread 2"),
        (["*.png", "--out", "-"], "--out: "),
        (["*.png", "--out", "blocked.csv"], "--out: cannot write to"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    (tmp_path / "list.csv").write_text("name\na.png\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.parquet").write_text("")
    (tmp_path / "blocked.csv.shards").write_text("")
    done = run("batch", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    # A run that has not begun leaves nothing behind.
    (tmp_path / "blocked.csv.shards").unlink()
    assert not [*tmp_path.glob("*.shards"), *tmp_path.rglob("_plan"), *tmp_path.glob("-")]


@posix
def test_killed_and_resumed_again_and_again(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 300), tmp_path / "results.jsonl"
    common = ["batch", folder, "--out", out, "--shard-size", 5, "--resume"]
    for stop in (1, 15, 30):
        process = begin(*common)
        wait_until(lambda stop=stop: finished(out) > stop)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        # No process is left behind.
        assert not psutil.wait_procs(workers, timeout=20)[1]
        assert not out.exists()
    # As if a kill had cut off a shard while it was written.
    (tmp_path / "results.jsonl.shards" / "_unfinished-1-0000059.jsonl").write_text('{"path":')
    done = run(*common)
    assert done.returncode == 0, done.stderr
    assert "finished before" in done.stderr
    paths = [row["path"] for row in rows_of(out)]
    assert paths == [str(folder / f"{number:04}.jpg") for number in range(300)]
    assert files_beside(out) == ["results.jsonl", "results.jsonl.run.json"]
    again = run(*common)
    assert (again.returncode, "nothing to do, 300 finished before" in again.stderr) == (0, True)


@pytest.mark.parametrize("out", ["results.csv", "results.jsonl", "results.parquet", "results"])
def test_resume_adds_new_images_to_a_finished_table(tmp_path: Path, small: bytes, out: str) -> None:
    folder, out = fill(tmp_path / "photos", small, 3), tmp_path / out
    assert run("batch", folder, "--out", out).returncode == 0
    (folder / "0001-new.jpg").write_bytes(small)
    added = run("batch", f"{folder}/", "--out", out, "--resume")
    assert added.returncode == 0, added.stderr
    assert "1 image, 1 face, 0 failed, 3 finished before" in added.stderr
    names = [Path(str(row["path"])).name for row in read_rows(out)]
    assert names == ["0000.jpg", "0001.jpg", "0002.jpg", "0001-new.jpg"]
    assert [row["emotion"] for row in read_rows(out)] == ["happy"] * 4
    other = run("batch", folder, "--out", out, "--resume", "--labels", "seven")
    assert (other.returncode, "labels was six, now seven" in other.stderr) == (2, True)
    assert not Path(f"{out}.shards").exists()


@pytest.mark.parametrize("out", ["results.csv", "results.jsonl", "results"])
def test_a_resumed_run_with_failures_fails_too(tmp_path: Path, mixed: Path, out: str) -> None:
    common = ["batch", mixed, "--out", tmp_path / out]
    assert run(*common).returncode == 1
    again = run(*common, "--resume")
    assert again.returncode == 1
    assert "nothing to do, 4 finished before (2 of them failed)" in again.stderr
    (mixed / "new.png").write_bytes((mixed / "a.png").read_bytes())
    assert run(*common, "--resume").returncode == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_first_failures_are_named(tmp_path: Path, suffix: str) -> None:
    folder, out = fill(tmp_path / "photos", b"no photo", 7), tmp_path / f"results{suffix}"
    lines = run("batch", folder, "--out", out).stderr.splitlines()
    named = [line for line in lines if line.startswith(f"mien: failed: {folder}")]
    assert len(named) == 5
    assert "2 more failed" in lines[-1]
    key = "error" if TABLE_FORMATS[suffix].has_objects else "error_message"
    assert f"{key} of {out}" in lines[-1]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the emotion model in the package."""
    card = load_card("emotion-mobilenet")
    shutil.copytree(card.folder, tmp_path / "model")
    (name,) = (name for name in card.files if name.endswith(".onnx"))
    return tmp_path / "model" / name


def replace_model(model: Path) -> None:
    """Replace a model by another file, which computes the same."""
    before = model.read_bytes()
    # A field of an ONNX file that names the program that wrote it.
    model.write_bytes(before + b"\x12\x01x")
    card = model.with_name("card.toml")
    old, new = (sha256(data).hexdigest() for data in (before, model.read_bytes()))
    card.write_text(card.read_text().replace(old, new))


def replace_temperature(model: Path) -> None:
    card = model.with_name("card.toml")
    card.write_text(re.sub("(?m)^temperature = .*$", "temperature = 2.5", card.read_text()))


@pytest.mark.parametrize("change", [replace_model, replace_temperature])
def test_resume_refuses_another_emotion_model(
    tmp_path: Path, small: bytes, model: Path, change: Callable[[Path], None]
) -> None:
    common = ["batch", fill(tmp_path / "photos", small, 1), "--out", tmp_path / "r.csv"]
    common += ["--model", model, "--resume"]
    assert [run(*common).returncode for _ in range(2)] == [0, 0]
    change(model)
    changed = run(*common)
    assert (changed.returncode, "model_card_sha256 was" in changed.stderr) == (2, True)


def test_resume_refuses_another_file_of_the_detector(tmp_path: Path, small: bytes) -> None:
    detector = tmp_path / "model.onnx"
    shutil.copy(load_card("yunet").folder / "model.onnx", detector)
    common = ["batch", fill(tmp_path / "photos", small, 1), "--out", tmp_path / "r.csv"]
    common += ["--detector-model", detector, "--resume"]
    assert [run(*common).returncode for _ in range(2)] == [0, 0]
    detector.write_bytes(detector.read_bytes() + b"\x12\x01x")
    changed = run(*common)
    assert (changed.returncode, "detector_sha256 was" in changed.stderr) == (2, True)


def test_an_older_run_recorded_only_what_was_not_default(tmp_path: Path, small: bytes) -> None:
    out = tmp_path / "r.csv"
    common = ["batch", fill(tmp_path / "photos", small, 1), "--out", out, "--resume"]
    assert run(*common).returncode == 0
    defaults = ["--detector", "yunet", "--model", "emotion-mobilenet"]
    assert run(*common, *defaults).returncode == 0
    other = run(*common, "--max-faces", 3)
    assert (other.returncode, "max_faces was None, now 3" in other.stderr) == (2, True)
    record = tmp_path / "r.csv.run.json"
    content = json.loads(record.read_text())
    for name in ("detector", "detector_sha256", "model_card_sha256", "max_faces"):
        del content["options"][name]
    record.write_text(json.dumps(content))
    assert run(*common).returncode == 0
    assert run(*common, "--detector", "mtcnn").returncode == 2
    assert run(*common, "--max-faces", 3).returncode == 2


def test_a_resumed_csv_writes_cells_alike(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 1), tmp_path / "r.csv"
    common = ["batch", folder, "--out", out, "--include", "scores,landmarks,detection,quality"]
    run(*common)
    (folder / "0001.jpg").write_bytes(small)
    run(*common, "--resume")
    _, first, second = out.read_text().splitlines()
    assert first.partition(",")[2] == second.partition(",")[2]


def test_a_few_images_are_few_files(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 18), tmp_path / "results"
    assert run("batch", folder, "--out", out, "--threads", 2).returncode == 0
    assert len(list(out.glob("*.parquet"))) == 2
    assert len(list(read_rows(out))) == 18


def test_resume_adds_new_images_to_an_unfinished_run(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 2), tmp_path / "results.csv"
    # Everything is analyzed, and the table cannot be written.
    (tmp_path / "results.csv.unfinished").mkdir()
    failed = run("batch", folder, "--out", out)
    assert (failed.returncode, "--resume" in failed.stderr.splitlines()[-1]) == (1, True)
    (tmp_path / "results.csv.unfinished").rmdir()
    (folder / "0009.jpg").write_bytes(small)
    done = run("batch", folder, "--out", out, "--resume")
    assert "1 image, 1 face, 0 failed, 2 finished before" in done.stderr
    names = [Path(str(row["path"])).name for row in rows_of(out)]
    assert names == ["0000.jpg", "0001.jpg", "0009.jpg"]


def test_a_photo_listed_twice_has_its_rows_twice(mixed: Path, tmp_path: Path) -> None:
    manifest, out = mixed / "list.txt", tmp_path / "results.jsonl"
    manifest.write_text("a.png\nb.JPG\na.png\n")
    run("batch", manifest, "--out", out)
    manifest.write_text("a.png\na.png\nb.JPG\na.png\n")
    done = run("batch", manifest, "--out", out, "--resume")
    assert "1 image, 0 faces, 0 failed, 3 finished before" in done.stderr
    names = [Path(str(row["path"])).name for row in rows_of(out)]
    assert names == ["a.png", "b.JPG", "a.png", "a.png"]


@posix
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("resumes", [[], ["--resume"]])
def test_a_stopped_run_is_not_overwritten(
    tmp_path: Path, small: bytes, resumes: list[str], number: int, status: int
) -> None:
    folder, out = fill(tmp_path / "photos", small, 200), tmp_path / "results.csv"
    process = begin("batch", *resumes, "--out", out, "--shard-size", 5, "--", folder)
    wait_until(lambda: finished(out) > 2)
    # So that it is still there when the second one starts.
    process.send_signal(signal.SIGSTOP)
    second = run("batch", folder, "--out", out, "--resume")
    assert (second.returncode, "another run is writing" in second.stderr) == (2, True)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, message = process.communicate()
    assert process.returncode == status
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert "Traceback" not in message
    command = shlex.split(message.splitlines()[-1].split("to continue: ")[1])
    assert command[:3] == ["mien", "batch", "--resume"]
    without = run("batch", folder, "--out", out)
    assert (without.returncode, "continue it with --resume" in without.stderr) == (2, True)
    other = run("batch", folder, "--out", out, "--resume", "--labels", "seven")
    assert (other.returncode, "labels was six, now seven" in other.stderr) == (2, True)
    assert run(*command[1:]).returncode == 0
    assert len(rows_of(out)) == 200


@posix
def test_ctrl_c_twice_stops_once(tmp_path: Path) -> None:
    # Large, so that the worker process is busy when the second one arrives.
    large = encode(Image.effect_noise((2000, 1500), 100).convert("RGB"), "JPEG")
    folder, out = fill(tmp_path / "photos", large, 40), tmp_path / "results.csv"
    options = ["--detector", "centerface", "--threads", 1, "--shard-size", 2]
    process = begin("batch", *options, "--out", out, "--", folder)
    wait_until(lambda: finished(out) > 0)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in message) == (130, False)
    assert not psutil.wait_procs(workers, timeout=20)[1]


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]


def test_a_killed_worker_loses_no_rows(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 200), tmp_path / "results.csv"
    process = begin("batch", folder, "--out", out, "--shard-size", 5)
    for shards in (1, 12):
        wait_until(lambda shards=shards: finished(out) > shards)
        workers_of(process)[0].kill()
    _, message = process.communicate(timeout=300)
    assert process.returncode == 0, message
    assert [row["emotion"] for row in rows_of(out)] == ["happy"] * 200


@posix
def test_results_that_cannot_be_written(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 100), tmp_path / "results.csv"
    process = begin("batch", folder, "--out", out, "--shard-size", 5)
    wait_until(lambda: finished(out) > 2)
    plan = tmp_path / "results.csv.shards" / "_plan"
    plan.rename(tmp_path / "aside")
    _, message = process.communicate(timeout=100)
    assert (process.returncode, "Traceback" in message) == (1, False), message
    assert "--resume" in message.splitlines()[-1]
    shutil.rmtree(plan, ignore_errors=True)
    (tmp_path / "aside").rename(plan)
    assert run("batch", folder, "--out", out, "--resume").returncode == 0
    assert len(rows_of(out)) == 100


def test_copies_keep_the_folder_layout(mixed: Path, tmp_path: Path) -> None:
    out, copies = tmp_path / "results.csv", tmp_path / "copies"
    run("batch", mixed, "--out", out, "--annotate", copies)
    files = sorted(str(p.relative_to(copies)) for p in copies.rglob("*") if p.is_file())
    assert files == ["a.png", "b.JPG"]
    assert (copies / "b.JPG").read_bytes() != (mixed / "b.JPG").read_bytes()


def test_copies_replace_no_other_files(face_photo: bytes, tmp_path: Path) -> None:
    for name in ("a.jpg", "out/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(face_photo)
    (tmp_path / "list.txt").write_text("a.jpg\nout/a.jpg\n")
    common = ["batch", "list.txt", "--out", "r.csv", "--annotate"]
    refused = run(*common, "out", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--annotate: out is not empty" in refused.stderr
    assert (tmp_path / "out" / "a.jpg").read_bytes() == face_photo
    assert run(*common, "copies", cwd=tmp_path).returncode == 0
    (tmp_path / "b.jpg").write_bytes(face_photo)
    (tmp_path / "list.txt").write_text("a.jpg\nout/a.jpg\nb.jpg\n")
    assert run(*common, "copies", "--resume", cwd=tmp_path).returncode == 0
    copies = sorted(path.name for path in (tmp_path / "copies").rglob("*.jpg"))
    assert copies == ["a.jpg", "a.jpg", "b.jpg"]


def test_the_environment_sets_the_number_of_processes(mixed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MIEN_THREADS": "1"}
    done = run("batch", mixed, "--out", tmp_path / "r.csv", env=environment)
    assert "1 core " in done.stderr
    assert "1 cores" not in done.stderr
    done = run("batch", mixed, "--out", tmp_path / "s.csv", "--threads", 2, env=environment)
    assert "2 cores " in done.stderr


def test_copies_have_a_format_that_is_written(face_photo: bytes, tmp_path: Path) -> None:
    photos, copies = tmp_path / "photos", tmp_path / "copies"
    photos.mkdir()
    Image.open(io.BytesIO(face_photo)).save(photos / "a.gif")
    (photos / "a.gif.jpg").write_bytes(face_photo)
    (photos / "a.jpg").write_bytes(face_photo)
    assert run("batch", photos, "--out", tmp_path / "r.csv", "--annotate", copies).returncode == 0
    assert sorted(p.name for p in copies.iterdir()) == ["a.gif.jpg", "a.gif.jpg.jpg", "a.jpg"]
    with Image.open(copies / "a.gif.jpg") as copy:
        assert copy.format == "JPEG"


def test_a_glob_does_not_match_files_of_the_run(face_photo: bytes, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos" / "r.csv"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(face_photo)
    for options in ([], ["--resume"]):
        where = photos / ".." / "photos" / "r.csv"
        assert run("batch", f"{photos}/**", "--out", where, *options).returncode == 0
    assert [row["path"] for row in rows_of(out)] == [str(photos / "a.jpg")]


@pytest.mark.parametrize("out", ["results", "results.csv"])
def test_photos_whose_names_begin_as_the_table_are_analyzed(
    small: bytes, tmp_path: Path, out: str
) -> None:
    names = ["results.jpg", "results.2.jpg", "results.csv.jpg", "results.csv2.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(small)
    done = run("batch", ".", "--out", out, cwd=tmp_path)
    assert done.stderr.splitlines()[0].startswith(f"mien: {len(names)} images")


def test_no_two_photos_get_the_same_copy(face_photo: bytes, tmp_path: Path) -> None:
    for folder in (tmp_path / "list" / "a", tmp_path / "a"):
        folder.mkdir(parents=True)
        (folder / "x.jpg").write_bytes(face_photo)
    manifest, copies = tmp_path / "list" / "list.txt", tmp_path / "copies"
    manifest.write_text("a/x.jpg\n../a/x.jpg\n")
    assert run("batch", manifest, "--out", tmp_path / "r.csv", "--annotate", copies).returncode == 0
    files = sorted(p.relative_to(copies).as_posix() for p in copies.rglob("*.jpg"))
    assert files == ["_up/a/x.jpg", "a/x.jpg"]


def test_memory_does_not_grow(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 500), tmp_path / "results.parquet"
    process = begin("batch", folder, "--out", out, "--shard-size", 5)

    def memory() -> int:
        whole = psutil.Process(process.pid)
        total = 0
        for part in [whole, *whole.children()]:
            with suppress(psutil.NoSuchProcess):
                total += part.memory_info().rss
        return total

    wait_until(lambda: finished(out) > 20)
    early, later = memory(), []
    while process.poll() is None:
        later.append(memory())
        time.sleep(0.01)
    assert max(later) < early * 1.1
    process.communicate()
    assert len(rows_of(out)) == 500


def test_a_report(mixed: Path, tmp_path: Path) -> None:
    evil = mixed / "<img src=x onerror=alert(1)>.jpg"
    evil.write_bytes(b"no photo")
    for suffix in SUFFIXES:
        table = tmp_path / f"results{suffix}"
        run("batch", mixed, "--out", table)
        sheet = tmp_path / f"faces{suffix}.png"
        done = run("report", table, "--sheet", sheet, "--out", tmp_path / f"{suffix}.html")
        assert done.returncode == 0, done.stderr
        page = (tmp_path / f"{suffix}.html").read_text()
        for message in (
            "<strong>5</strong>photos<",
            "<strong>1</strong>face<",
            "<strong>1</strong>photo without a face<",
            "<strong>3</strong>photos that failed<",
            "truncated_image</code>: 1",
            "data:image/jpeg;base64,",
        ):
            assert message in page
        assert "<img src=x" not in page
        with Image.open(sheet) as picture:
            assert picture.width >= 200
            assert picture.height > 96


def test_a_report_without_the_photos(small: bytes, tmp_path: Path) -> None:
    fill(tmp_path / "photos", small, 1)
    run("batch", "photos", "--out", "r.csv", cwd=tmp_path)
    (tmp_path / "photos").rename(tmp_path / "moved")
    done = run("report", "r.csv", cwd=tmp_path)
    assert (done.returncode, "no example could be read" in done.stderr) == (0, True)
    assert (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "no such file"),
        ("bad.parquet", b"nothing", "not a readable .parquet table"),
        ("bad.jsonl", b"[1]\n", "not a readable .jsonl table"),
        ("other.csv", b"a,b\n1,2\n", "not a table of mien batch"),
        ("other.jsonl", b'{"path": "x"}\n', "not a table of mien batch"),
        ("pathless.jsonl", b'{"faces": []}\n', "not a table of mien batch"),
        ("numbers.jsonl", b'{"path": "a", "faces": [1]}\n', "not a table of mien batch"),
        ("codeless.jsonl", b'{"path": "a", "error": {}}\n', "not a table of mien batch"),
        ("list.xls", b"", "must end with"),
    ],
)
def test_a_report_of_another_file_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run("report", tmp_path / name)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ([name] if content is not None else [])


@pytest.mark.parametrize("folder", [".", ".."])
def test_a_report_of_a_folder_without_tables_is_refused(tmp_path: Path, folder: str) -> None:
    here = tmp_path / "deep" / "er"
    here.mkdir(parents=True)
    done = run("report", folder, cwd=here)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
