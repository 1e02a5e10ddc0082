"""``mien video`` as users run it, on clips that the tests make."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clips import film, plain
from mien.errors import UnreadableVideoError, VideoTooLargeError
from mien.video.clip import ClipLimits, open_clip


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "video", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def moving(astronaut: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Two seconds at 20 a second: a face that moves to the right."""
    return [np.roll(astronaut, 2 * step, axis=1) for step in range(40)]


@pytest.fixture(scope="module")
def clip(moving: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(film(moving, [50 * step for step in range(40)]))
    return path


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_person_through_time(clip: Path, tmp_path: Path) -> None:
    out, copy, plot = (tmp_path / name for name in ("faces.jsonl", "copy.mp4", "plot.png"))
    done = run(clip, "--out", out, "--annotate", copy, "--plot", plot)
    assert done.returncode == 0, done.stderr
    assert "2.0 s, 20 samples, 1 person" in done.stderr
    assert "  person 1, 0.0 to 2.0 s: happy 100 %\n" in done.stderr
    rows = rows_of(out)
    assert [row["time_s"] for row in rows] == [
        pytest.approx(at / 10, abs=0.002) for at in range(20)
    ]
    assert {row["person"] for row in rows} == {1}
    assert {row["emotion"] for row in rows} == {"happy"}
    # Also between detections the box goes with the face: 4 pixels a sample.
    moved = [row["x"] - rows[0]["x"] for row in rows]
    assert all(abs(x - 4 * step) < 12 for step, x in enumerate(moved))
    with av.open(str(copy)) as copied:
        assert sum(1 for _ in copied.decode(video=0)) == 20
    with Image.open(plot) as picture:
        yellow = (np.asarray(picture.convert("RGB")) == (240, 228, 66)).all(axis=2)
    assert yellow.mean() > 0.1


def test_times_of_an_uneven_clip(moving: list, tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1040, 2500, 2540]
    uneven = tmp_path / "clip.mkv"
    uneven.write_bytes(film(moving[:7], times, "matroska"))
    assert run(uneven, "--out", tmp_path / "r.jsonl", "--fps", "5").returncode == 0
    assert [row["time_s"] for row in rows_of(tmp_path / "r.jsonl")] == [0.0, 1.0, 2.5]


def test_a_clip_that_lies_on_its_side(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    # ISO/IEC 14496-12, 8.3.2: the matrix of a quarter turn.
    matrix = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    with (
        open_clip(clip, ClipLimits()) as plain,
        open_clip(bytes(data), ClipLimits()) as turned,
    ):
        before, after = next(plain.frames(1)).image.pixels, next(turned.frames(1)).image.pixels
    # Players turn it clockwise.
    assert np.abs(np.rot90(before, -1).astype(int) - after).mean() < 2


def test_a_cut_off_clip_keeps_what_could_be_read(moving: list, tmp_path: Path) -> None:
    whole = film(moving, [50 * step for step in range(40)], "avi")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    done = run(cut, "--out", tmp_path / "r.jsonl")
    assert (done.returncode, "the clip is damaged" in done.stderr) == (1, True)
    assert len(rows_of(tmp_path / "r.jsonl")) >= 5


@pytest.mark.parametrize(
    ("form", "encoder"),
    [
        ("mp4", "libx264"),
        ("mp4", "libx265"),
        ("mp4", "libsvtav1"),
        ("mov", "mjpeg"),
        ("matroska", "libvpx"),
        ("webm", "libvpx-vp9"),
        ("avi", "mpeg4"),
    ],
)
def test_each_codec(astronaut: NDArray[np.uint8], form: str, encoder: str) -> None:
    small = astronaut[::4, ::4]
    data = film([small] * 6, range(0, 600, 100), form, encoder)
    with open_clip(data, ClipLimits()) as clip:
        read = list(clip.frames(10))
    assert [round(frame.time_s, 1) for frame in read] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert np.abs(read[3].image.pixels.astype(int) - small).mean() < 12
    assert not clip.cut_off


def test_a_codec_that_is_not_read() -> None:
    with (
        pytest.raises(UnreadableVideoError, match="in a format that is not read"),
        open_clip(plain(form="avi", encoder="ffv1"), ClipLimits()),
    ):
        pass


def test_the_largest_pictures_of_cameras(astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    """4K, with a face that is a small part of it."""
    picture = np.full((2160, 3840, 3), 90, np.uint8)
    picture[900:1412, 2000:2512] = astronaut
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(film([picture] * 4, range(0, 400, 100), encoder="libx264"))
    done = run(clip, "--out", tmp_path / "r.jsonl", "--annotate", tmp_path / "copy.mp4")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "r.jsonl")
    assert [row["emotion"] for row in rows] == ["happy"] * 4
    assert all(2000 < row["x"] < 2512 and 900 < row["y"] < 1412 for row in rows)


def test_limits(clip: Path) -> None:
    for limits in (ClipLimits(pixels=1000), ClipLimits(seconds=1)):
        with pytest.raises(VideoTooLargeError), open_clip(clip, limits) as opened:
            list(opened.frames(10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "the clip is empty"),
        (b"no clip at all, just text", "this is no clip that is read"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "this is no clip that is read"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(50), "the clip is cut off or corrupt"),
    ],
)
def test_what_is_no_clip(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    done = run(path, "--out", tmp_path / "r.csv")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert words in done.stderr
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "r.xls"], "the name of a table must end with"),
        (["--out", "r.csv", "--annotate", "copy.gif"], "--annotate: copy.gif must be named .mp4"),
        (["--out", "r.csv", "--plot", "plot.pdf"], "--plot: plot.pdf must be named .png"),
        (["--out", "nowhere/r.csv"], "there is no folder nowhere"),
        (["--out", "r.csv", "--fps", "0"], "expected a number from 0.01 to 60, got '0'"),
        (["--out", "r.csv", "--smooth", "-1"], "expected a number of seconds, got '-1'"),
        ([], "the following arguments are required: --out"),
    ],
)
def test_wrong_usage_is_one_line(clip: Path, arguments: list[str], words: str) -> None:
    done = run(clip, *arguments)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    done = run("camera:99", "--out", tmp_path / "r.csv")
    assert (done.returncode, done.stderr) == (1, "mien: camera:99: camera 99 can't be opened\n")
    assert run("camera:x", "--out", tmp_path / "r.csv").returncode == 2


def test_a_title_in_another_encoding() -> None:
    data = plain(form="avi").replace(b"Lavf", b"Caf\xe9")
    with open_clip(data, ClipLimits()) as clip:
        assert len(list(clip.frames(10))) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs a bound on the size of files")
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
@pytest.mark.parametrize("copy", [[], ["--annotate", "copy.mp4"]])
def test_nothing_stays_of_what_can_not_be_written(
    clip: Path, tmp_path: Path, name: str, copy: list[str]
) -> None:
    """Files may have 500 bytes, which is what a disk that fills looks like."""
    program = (
        "import resource, sys, mien.cli;"
        "_, most = resource.getrlimit(resource.RLIMIT_FSIZE);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, most));"
        "status = mien.cli.main();"
        # What measures coverage writes at the end, too.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most));"
        "sys.exit(status)"
    )
    # -B: Python would keep cut off pieces of what it compiles, too.
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, "video", str(clip), "--out", name, *copy],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
