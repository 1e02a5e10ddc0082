"""``mien batch`` and ``mien report`` as users run them; kills and full queues are real."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from http_fakes import wait_until
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
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(csv.DictReader(path.read_text().splitlines()))


def lines_in(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


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


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_one_row_per_face_and_per_failure(mixed: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"results{suffix}"
    done = run("batch", mixed, "--out", out)
    assert done.returncode == 1
    assert re.search(r"\b4\b.*\b1\b.*\b2\b", done.stderr)
    rows = rows_of(out)
    assert [Path(str(row["path"])).name for row in rows] == ["a.png", "b.JPG", "c.jpg", "d.webp"]
    assert [row["error_code"] or "" for row in rows] == ["", "", "truncated_image", "empty_upload"]
    assert [row["emotion"] or "" for row in rows] == ["", "happy", "", ""]
    assert float(rows[1]["score_happy"]) > 0.8
    assert [str(row["width"] or "") for row in rows] == ["64", "512", "", ""]
    assert list(tmp_path.glob("results*")) == [out]


def test_the_rows_are_those_of_analyze(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    told = ["--labels", "eight", "--include", "scores,landmarks,detection"]
    run("batch", mixed, "--out", out, *told)
    photos = [mixed / name for name in ("a.png", "b.JPG", "deeper/c.jpg", "deeper/d.webp")]
    analyzed = run("analyze", "--csv", *told, *photos)
    assert out.read_text() == analyzed.stdout


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
        assert [Path(str(row["path"])).name for row in rows_of(out)] == names, source
        out.unlink()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere", "--out", "r.csv"], "nowhere"),
        (["a.png", "--out", "r.csv"], "a.png"),
        (["*.gif", "--out", "r.csv"], "*.gif"),
        (["list.csv", "--out", "r.csv"], "list.csv"),
        (["empty.txt", "--out", "r.csv"], "empty.txt"),
        (["broken.parquet", "--out", "r.csv"], "broken.parquet"),
        ([".", "--out", "results.xls"], ".parquet"),
        ([".", "--out", "no-folder/r.csv"], "no-folder/r.csv"),
        ([".", "--out", "list.csv"], "list.csv"),
        ([".", "--out", "r.csv", "--annotate", "copies"], "copies"),
        ([".", "--out", "r.csv", "--detector", "eyes"], "eyes"),
        ([".", "--out", "r.csv", "--labels", "nine"], "nine"),
        (["."], "--out"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], named: str) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    (tmp_path / "list.csv").write_text("name\na.png\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    done = run("batch", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    # It would hold the next run to what this one was asked for.
    assert not list(tmp_path.glob("*.journal"))


@posix
def test_killed_and_resumed_again_and_again(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 300), tmp_path / "results.jsonl"
    journal = tmp_path / "results.jsonl.journal"
    for stop in (1, 80, 150):
        process = begin("batch", folder, "--out", out, "--resume")
        wait_until(lambda stop=stop: lines_in(journal) > stop)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        # Nobody is left behind.
        assert not psutil.wait_procs(workers, timeout=20)[1]
        assert not out.exists()
    # As if the last line had been cut off, too.
    with journal.open("ab") as file:
        file.write(b'{"path": "' + str(folder / "0299.jpg").encode())
    done = run("batch", folder, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    counts = Counter(row["path"] for row in rows_of(out))
    assert counts == {str(folder / f"{number:04}.jpg"): 1 for number in range(300)}
    assert not journal.exists()
    again = run("batch", folder, "--out", out, "--resume")
    assert again.returncode == 0
    assert len(rows_of(out)) == 300


def test_a_photo_that_is_listed_twice_has_its_rows_twice(mixed: Path, tmp_path: Path) -> None:
    (mixed / "list.txt").write_text("a.png\nb.JPG\na.png\n")
    out, journal = tmp_path / "results.jsonl", tmp_path / "results.jsonl.journal"
    # All is looked at, and the table can't be written.
    (tmp_path / "results.jsonl.unfinished").mkdir()
    assert run("batch", mixed / "list.txt", "--out", out).returncode == 1
    (tmp_path / "results.jsonl.unfinished").rmdir()
    whole = journal.read_bytes().splitlines(keepends=True)
    assert len(whole) == 4
    for photos in range(4):  # as if it had been killed after so many
        journal.write_bytes(b"".join(whole[: 1 + photos]))
        done = run("batch", mixed / "list.txt", "--out", out, "--resume")
        assert done.returncode == 0, done.stderr
        names = [Path(str(row["path"])).name for row in rows_of(out)]
        assert names == ["a.png", "b.JPG", "a.png"]
        out.unlink()


@posix
@pytest.mark.parametrize("resumes", [[], ["--resume"]])
def test_an_unfinished_run_is_not_overwritten(
    tmp_path: Path, small: bytes, resumes: list[str]
) -> None:
    folder, out = fill(tmp_path / "photos", small, 200), tmp_path / "results.csv"
    process = begin("batch", folder, "--out", out, *resumes)
    wait_until(lambda: lines_in(tmp_path / "results.csv.journal") > 5)
    # It would be done before the second has begun.
    process.send_signal(signal.SIGSTOP)
    second = run("batch", folder, "--out", out, "--resume")
    assert second.returncode == 2
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, words = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in words
    command = shlex.split(words.splitlines()[-1].partition(": mien ")[2])
    assert command == ["batch", str(folder), "--out", str(out), "--resume"]
    without = run("batch", folder, "--out", out)
    assert (without.returncode, "--resume" in without.stderr) == (2, True)
    other = run("batch", folder, "--out", out, "--resume", "--labels", "seven")
    assert other.returncode == 2
    assert run(*command).returncode == 0
    assert len(rows_of(out)) == 200


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, small: bytes) -> None:
    folder, out = fill(tmp_path / "photos", small, 200), tmp_path / "results.csv"
    process = begin("batch", folder, "--out", out)
    for lines in (5, 60):
        wait_until(lambda lines=lines: lines_in(tmp_path / "results.csv.journal") > lines)
        victims = [
            child
            for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        victims[0].kill()
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0, words
    assert [row["emotion"] for row in rows_of(out)] == ["happy"] * 200


def test_copies_lie_as_the_photos_do(mixed: Path, tmp_path: Path) -> None:
    out, copies = tmp_path / "results.csv", tmp_path / "copies"
    for _ in range(2):  # in a second run they are replaced
        run("batch", mixed, "--out", out, "--annotate", copies)
        out.unlink()
        files = sorted(str(p.relative_to(copies)) for p in copies.rglob("*") if p.is_file())
        assert files == ["a.png", "b.JPG"]
    assert (copies / "b.JPG").read_bytes() != (mixed / "b.JPG").read_bytes()


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
    process = begin("batch", folder, "--out", out)
    journal = tmp_path / "results.parquet.journal"

    def memory() -> int:
        whole = psutil.Process(process.pid)
        total = 0
        for part in [whole, *whole.children()]:
            with suppress(psutil.NoSuchProcess):
                total += part.memory_info().rss
        return total

    wait_until(lambda: lines_in(journal) > 100)
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
    for suffix in (".parquet", ".csv", ".jsonl"):
        table = tmp_path / f"results{suffix}"
        run("batch", mixed, "--out", table)
        sheet = tmp_path / f"faces{suffix}.png"
        done = run("report", table, "--sheet", sheet, "--out", tmp_path / f"{suffix}.html")
        assert done.returncode == 0, done.stderr
        page = (tmp_path / f"{suffix}.html").read_text()
        for words in (
            "<strong>5</strong>photos<",
            "<strong>1</strong>faces<",
            "<strong>1</strong>photos without a face<",
            "<strong>3</strong>photos that failed<",
            "truncated_image</code>: 1",
            "data:image/jpeg;base64,",
        ):
            assert words in page
        assert "<img src=x" not in page
        with Image.open(sheet) as picture:
            assert picture.width >= 200
            assert picture.height > 96


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_report_of_a_name_that_is_no_text(face_photo: bytes, tmp_path: Path) -> None:
    photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    photo.write_bytes(face_photo)
    table = tmp_path / "results.jsonl"
    assert run("batch", tmp_path, "--out", table).returncode == 0
    done = run("report", table)
    assert done.returncode == 0, done.stderr
    assert 'title="caf\\udce9.jpg"' in (tmp_path / "results.html").read_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gone.csv", None),
        ("bad.parquet", b"nothing"),
        ("bad.jsonl", b"[1]\n"),
        ("other.csv", b"a,b\n1,2\n"),
        ("other.jsonl", b'{"path": "x"}\n'),
        ("list.xls", b""),
    ],
)
def test_a_report_of_something_else(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run("report", tmp_path / name)
    assert done.returncode == 2
    assert done.stderr.startswith("mien: ")
    assert len(done.stderr.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ([name] if content is not None else [])
