"""``mien video`` as users run it, on videos that the tests make."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.batch.table import Record, write_table
from mien.cli import main
from mien.video.reader import Frame, VideoLimits, VideoReader, open_video
from programs import posix
from videos import encoded_video, plain, with_display_matrix, with_timestamps


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
    path.write_bytes(encoded_video(moving, [50 * step for step in range(40)]))
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
    # The box moves with the face: 4 pixels a sample.
    moved = [row["x"] - rows[0]["x"] for row in rows]
    assert all(abs(x - 4 * step) < 12 for step, x in enumerate(moved))
    with av.open(str(copy)) as copied:
        assert sum(1 for _ in copied.decode(video=0)) == 20
    with Image.open(plot) as picture:
        yellow = (np.asarray(picture.convert("RGB")) == (240, 228, 66)).all(axis=2)
    assert yellow.mean() > 0.1


def test_variable_frame_rate_times(moving: list, tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1040, 2500, 2540]
    uneven = tmp_path / "clip.mkv"
    uneven.write_bytes(encoded_video(moving[:7], times, "matroska"))
    assert run(uneven, "--out", tmp_path / "r.jsonl", "--fps", "5").returncode == 0
    assert [row["time_s"] for row in rows_of(tmp_path / "r.jsonl")] == [0.0, 1.0, 2.5]


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as copy:
        stream = copy.streams.video[0]
        return stream.width, stream.height


def test_a_mirrored_and_rotated_video(moving: list, tmp_path: Path) -> None:
    """As a front camera writes it: boxes and the copy are as a player shows it."""
    shown = moving[0][:, 64:448]
    stored = shown.swapaxes(0, 1)
    path = tmp_path / "front.mp4"
    path.write_bytes(
        with_display_matrix(encoded_video([stored] * 3, range(0, 300, 100)), 0, 1, 1, 0)
    )
    plain_path = tmp_path / "plain.mp4"
    plain_path.write_bytes(encoded_video([shown] * 3, range(0, 300, 100)))
    rows = {}
    for source in (path, plain_path):
        out, copy = tmp_path / f"{source.stem}.jsonl", tmp_path / f"{source.stem}-copy.mp4"
        done = run(source, "--out", out, "--annotate", copy)
        assert done.returncode == 0, done.stderr
        rows[source] = rows_of(out)
        assert size_of(copy) == (384, 512)
    # Mirrored along the diagonal twice: the same picture again.
    for turned, upright in zip(rows[path], rows[plain_path], strict=True):
        assert (turned["width"], turned["height"]) == (384, 512)
        assert turned["emotion"] == upright["emotion"] == "happy"
        for side in ("x", "y", "box_width", "box_height"):
            assert abs(turned[side] - upright[side]) < 12


def test_the_table_names_the_turn_of_a_video_on_its_side(moving: list, tmp_path: Path) -> None:
    path, out = tmp_path / "side.mp4", tmp_path / "faces.jsonl"
    on_its_side = [np.ascontiguousarray(np.rot90(picture)) for picture in moving[:3]]
    path.write_bytes(encoded_video(on_its_side, range(0, 300, 100)))
    assert run(path, "--out", out, "--upright", "auto").returncode == 0
    assert {row["turn"] for row in rows_of(out)} == {90}


def test_pixels_that_are_not_square(moving: list, tmp_path: Path) -> None:
    path = tmp_path / "narrow.mp4"
    squeezed = [picture[:, ::2] for picture in moving[:3]]
    path.write_bytes(
        encoded_video(squeezed, range(0, 300, 100), encoder="libx264", pixel_aspect=Fraction(2))
    )
    done = run(path, "--out", tmp_path / "r.jsonl", "--annotate", tmp_path / "copy.mp4")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "r.jsonl")
    assert [(row["width"], row["height"], row["emotion"]) for row in rows] == [
        (512, 512, "happy")
    ] * 3
    assert size_of(tmp_path / "copy.mp4") == (512, 512)


def test_two_shots_are_two_persons(astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    """The faces overlap: only the cut tells them apart."""
    shots = [astronaut] * 6 + [astronaut[:, ::-1]] * 6
    path = tmp_path / "shots.mp4"
    path.write_bytes(encoded_video(shots, range(0, 1200, 100)))
    done = run(path, "--out", tmp_path / "r.jsonl", "--smooth", "10")
    assert done.returncode == 0, done.stderr
    assert [row["person"] for row in rows_of(tmp_path / "r.jsonl")] == [1] * 6 + [2] * 6


def test_dropped_frames_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    path.write_bytes(with_timestamps([0, 100, 100, 200, 150, 300]))
    done = run(path, "--out", tmp_path / "r.jsonl")
    assert done.returncode == 0
    assert "2 frames dropped" in done.stderr
    assert [row["time_s"] for row in rows_of(tmp_path / "r.jsonl")] == [0.0, 0.1, 0.2, 0.3]
    whole = tmp_path / "whole.mkv"
    whole.write_bytes(with_timestamps([0, 100, 200, 0, 100]))
    done = run(whole, "--out", tmp_path / "whole.jsonl")
    assert (done.returncode, "frames dropped" in done.stderr) == (0, False)
    times = [row["time_s"] for row in rows_of(tmp_path / "whole.jsonl")]
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(("name", "times"), [("06_two_recordings_joined.webm", 2)])
def test_the_reported_join(shared: Path, tmp_path: Path, name: str, times: int) -> None:
    done = run(shared / "cases" / name, "--out", tmp_path / "r.jsonl")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "r.jsonl")
    assert rows[-1]["time_s"] == pytest.approx(3.0 * times - 0.1)


@pytest.mark.parametrize(("form", "encoder"), [("mp4", "libx264"), ("flv", "flv")])
def test_a_joined_recording_that_is_not_read_is_reported(
    tmp_path: Path, form: str, encoder: str
) -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    clip = tmp_path / f"joined.{form}"
    clip.write_bytes(encoded_video([picture] * 10, range(0, 1000, 100), form, encoder) * 2)
    done = run(clip, "--out", tmp_path / "faces.csv")
    assert done.returncode == 1
    assert "incomplete" in done.stderr


@pytest.mark.parametrize("side", [64, 96])
def test_a_joined_recording_of_other_parameters_is_reported(tmp_path: Path, side: int) -> None:
    """Matroska's demuxer gives its frames to the decoder of the first recording."""
    clip = tmp_path / "joined.mkv"
    clip.write_bytes(
        b"".join(
            encoded_video(
                [np.full((each, each, 3), 128, np.uint8)] * 10,
                range(0, 1000, 100),
                "matroska",
                "libx264",
            )
            for each in (64, side)
        )
    )
    done = run(clip, "--out", tmp_path / "faces.jsonl")
    assert (done.returncode, "incomplete" in done.stderr) == (
        (0, False) if side == 64 else (1, True)
    )
    assert len(rows_of(tmp_path / "faces.jsonl")) == (20 if side == 64 else 10)


@pytest.mark.parametrize(
    ("name", "plain", "mirrored"),
    [
        ("04_hflip_front_camera.mp4", "04_plain.mp4", True),
        ("05_sar_64_45.mp4", "05_square.mp4", False),
    ],
)
def test_a_video_is_analyzed_as_displayed(
    shared: Path, tmp_path: Path, name: str, plain: str, mirrored: bool
) -> None:
    """A mirrored clip and one with wide pixels give what the plain clip gives."""
    samples = []
    for clip in (name, plain):
        out = tmp_path / f"{clip}.jsonl"
        done = run(shared / "cases" / clip, "--out", out)
        assert done.returncode == 0, done.stderr
        rows = rows_of(out)
        assert {row["person"] for row in rows} == {1}
        samples.append(rows)
    assert len(samples[0]) == len(samples[1])
    for row, expected in zip(*samples, strict=True):
        assert row["width"] == pytest.approx(expected["width"], abs=1)
        assert row["height"] == expected["height"]
        if mirrored:
            expected["x"] = expected["width"] - expected["x"] - expected["box_width"]
        for field in ("x", "y", "box_width", "box_height"):
            assert row[field] == pytest.approx(expected[field], abs=6), field
        assert row["score_happy"] == pytest.approx(expected["score_happy"], abs=0.2)


def test_frames_that_change_their_size(astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    """They are fitted into the copy, none is missing."""
    path = tmp_path / "sizes.ts"
    sizes = [astronaut[::2, ::2], np.ascontiguousarray(astronaut[:256:2, ::2])]
    path.write_bytes(
        b"".join(
            encoded_video([each] * 5, range(0, 500, 100), "mpegts", "libx264") for each in sizes
        )
    )
    done = run(path, "--out", tmp_path / "r.jsonl", "--annotate", tmp_path / "copy.mp4")
    assert done.returncode == 0, done.stderr
    assert {row["height"] for row in rows_of(tmp_path / "r.jsonl")} == {256, 128}
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == 10


@posix
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)]
)
def test_signals(
    astronaut: NDArray[np.uint8], tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """SIGTERM and SIGHUP leave nothing; Ctrl-C, by which a camera is stopped, whole files."""
    source = tmp_path / "long.mp4"
    source.write_bytes(encoded_video([astronaut] * 600, range(0, 60_000, 100)))
    out, copy = tmp_path / "r.csv", tmp_path / "copy.mp4"
    command = [sys.executable, "-m", "mien", "video", source, "--out", out, "--annotate", copy]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        # The copy has its first frames once the encoder has filled its buffers.
        while not (growing(copy) and process.poll() is None):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in message) == (status, False), message
    if number == signal.SIGINT:
        assert {path.name for path in tmp_path.iterdir()} == {"long.mp4", "r.csv", "copy.mp4"}
        with av.open(str(copy)) as copied:
            assert sum(1 for _ in copied.decode(video=0)) == len(out.read_text().splitlines()) - 1
    else:
        assert list(tmp_path.iterdir()) == [source]


@posix
def test_ctrl_c_while_a_row_is_written_keeps_the_results(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(
        path: Path, suffix: str, columns: Sequence[str], rows: Iterable[Record]
    ) -> None:
        def interrupting() -> Iterator[Record]:
            for index, row in enumerate(rows):
                if index == 2:
                    signal.raise_signal(signal.SIGINT)
                yield row

        write_table(path, suffix, columns, interrupting())

    monkeypatch.setattr("mien.cli.video.write_table", interrupted)
    out = tmp_path / "faces.jsonl"
    assert main(["video", str(clip), "--out", str(out)]) == 0
    assert len(rows_of(out)) == 3
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@posix
def test_ctrl_c_while_a_source_is_stalled_keeps_the_results(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = VideoReader.frames

    def stalling(video: VideoReader, per_second: float) -> Iterator[Frame]:
        yield from islice(frames(video, per_second), 12)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("waited for the next frame")

    monkeypatch.setattr(VideoReader, "frames", stalling)
    out = tmp_path / "faces.jsonl"
    assert main(["video", str(clip), "--out", str(out)]) == 0
    assert 0 < len(rows_of(out)) <= 12


def growing(path: Path) -> bool:
    unfinished = path.with_name(path.name + ".unfinished")
    return unfinished.exists() and unfinished.stat().st_size > 0


@posix
def test_under_nohup_a_hangup_is_ignored() -> None:
    program = (
        "import signal, sys, mien.cli;"
        "from mien.cli.termination import cleaning_up;"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "block = cleaning_up();"
        "block.__enter__();"
        "signal.raise_signal(signal.SIGHUP);"
        "block.__exit__(None, None, None);"
        "sys.exit(7 if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else 8)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == 7


def test_a_truncated_video_keeps_the_readable_part(moving: list, tmp_path: Path) -> None:
    whole = encoded_video(moving, [50 * step for step in range(40)], "avi")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    done = run(cut, "--out", tmp_path / "r.jsonl")
    assert (done.returncode, "damaged" in done.stderr) == (1, True)
    assert len(rows_of(tmp_path / "r.jsonl")) >= 5


def test_the_largest_camera_frames_are_read(astronaut: NDArray[np.uint8], tmp_path: Path) -> None:
    """4K, with a face that is a small part of it."""
    picture = np.full((2160, 3840, 3), 90, np.uint8)
    picture[900:1412, 2000:2512] = astronaut
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(encoded_video([picture] * 4, range(0, 400, 100), encoder="libx264"))
    done = run(clip, "--out", tmp_path / "r.jsonl", "--annotate", tmp_path / "copy.mp4")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "r.jsonl")
    assert [row["emotion"] for row in rows] == ["happy"] * 4
    assert all(2000 < row["x"] < 2512 and 900 < row["y"] < 1412 for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no video at all, just text",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"\x00\x00\x00\x18ftypmp42" + bytes(50),
    ],
)
def test_files_that_are_not_videos_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    done = run(path, "--out", tmp_path / "r.csv", "--annotate", tmp_path / "copy.mp4")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert str(path) in done.stderr
    assert {each.name for each in tmp_path.iterdir()} <= {"clip.mp4"}


def test_a_photo_is_referred_to_the_command_for_photos(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(photo)
    done = run(photo, "--out", tmp_path / "r.csv")
    assert (done.returncode, "mien analyze" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--out, --annotate or --plot"),
        (["--seconds", "1"], "--out, --annotate or --plot"),
        (["--out", "r.csv", "--fps", "0"], "--fps"),
        (["--out", "r.csv", "--smooth", "-1"], "--smooth"),
        (["--out", "r.csv", "--seconds", "0"], "--seconds"),
        (["--out", "r.csv", "--detect-every", "3"], "--detect-every"),
    ],
)
def test_wrong_usage(clip: Path, arguments: list[str], named: str) -> None:
    done = run(clip, *arguments)
    assert done.returncode == 2
    assert named in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "name"), [("--out", "r.csv"), ("--annotate", "c.mp4"), ("--plot", "p.png")]
)
def test_each_output_can_be_requested_alone(
    clip: Path, tmp_path: Path, option: str, name: str
) -> None:
    path = tmp_path / name
    done = run(clip, option, path, "--seconds", "0.3")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [path]
    assert f"wrote {path}" in done.stderr


def test_a_missing_camera_is_an_error(tmp_path: Path) -> None:
    done = run("camera:99", "--out", tmp_path / "r.csv")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "camera 99" in done.stderr
    assert run("camera:x", "--out", tmp_path / "r.csv").returncode == 2


def test_a_title_in_another_encoding() -> None:
    data = plain(form="avi").replace(b"Lavf", b"Caf\xe9")
    with open_video(data, VideoLimits()) as video:
        assert len(list(video.frames(10))) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs a bound on the size of files")
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
@pytest.mark.parametrize("copy", [[], ["--annotate", "copy.mp4"]])
def test_failed_outputs_leave_no_files(
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
