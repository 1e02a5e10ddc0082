"""The command as users run it: a process of its own, with the models that come along."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from programs import posix

MIEN = [sys.executable, "-m", "mien"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [*MIEN, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, timeout=120, **options)


def test_example_photo_shows_one_happy_face() -> None:
    done = run("analyze", "--jsonl", EXAMPLE, "--include", "scores,landmarks,detection")
    assert (done.returncode, done.stderr) == (0, b"")
    record = json.loads(done.stdout)
    assert record["size"] == [512, 512]
    (face,) = record["faces"]
    assert face["emotion"] == "happy"
    assert face["confidence"] > 0.8
    x, y, width, height = face["bounding_box"]
    # The middle of her face, and about its size.
    assert abs(x + width / 2 - 222) < 15
    assert abs(y + height / 2 - 120) < 20
    assert 60 < height < 160
    assert record["seconds"]["decode"] > 0


def test_the_settings_in_force_are_an_environment_file() -> None:
    redis = "redis://me:se@cret@host:6379/0"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MIEN_")}
    environment = {
        **plain,
        "MIEN_MAX_QUEUE": "32",
        "MIEN_RATE_LIMIT": "5/second; 1000/day",
        "MIEN_RATE_LIMIT_STORAGE": redis,
        "MIEN_TRACE_ENDPOINT": "http://me:se@cret@host/v1/traces",
    }
    done = run("serve", "--print-config", "--port", "8000", env=environment)
    assert done.returncode == 0
    assert b"cret" not in done.stdout
    lines = done.stdout.decode().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert settings == {
        "MIEN_PORT": "8000",
        "MIEN_MAX_QUEUE": "32",
        "MIEN_RATE_LIMIT": "5/second; 1000/day",
    }
    assert {"#MIEN_WORKERS=1", "#MIEN_MODEL=", "# Set by MIEN_MAX_QUEUE; default 64."} < set(lines)
    again = run("serve", "--print-config", env={**plain, **settings})
    assert (
        settings.items()
        <= dict(
            line.split("=", 1) for line in again.stdout.decode().splitlines() if "=" in line
        ).items()
    )
    mistaken = run("serve", env={**os.environ, "MIEN_QUEUE_MAX": "32"})
    assert mistaken.returncode == 2
    assert b"MIEN_MAX_QUEUE" in mistaken.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the output")
def test_a_closed_output() -> None:
    command = f"{' '.join(MIEN)} models list >&-"
    done = subprocess.run(command, shell=True, check=False, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("options", [["--detector", "eyes"], ["--model", "nowhere.onnx"]])
def test_a_service_that_cannot_start_says_why(options: list[str]) -> None:
    done = run("serve", "--port", 0, *options)
    assert done.returncode == 1
    reasons = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert sum(options[1] in reason for reason in reasons) == 1, "said once"


def test_a_bad_photo_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(EXAMPLE.read_bytes()[:5000])
    done = run("analyze", "--jsonl", EXAMPLE, bad, EXAMPLE, "--annotate", tmp_path / "out")
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[1].keys() == {"path", "error"}
    assert (records[1]["path"], records[1]["error"]["code"]) == (str(bad), "truncated_image")
    assert records[0]["faces"] == records[2]["faces"]
    assert b"Traceback" not in done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["astronaut-2.jpg", "astronaut.jpg"]


def test_stdin_and_crop() -> None:
    done = run("analyze", "--json", "--crop", "-", input=EXAMPLE.read_bytes())
    ((record,), status) = json.loads(done.stdout), done.returncode
    assert status == 0
    assert record["faces"][0]["bounding_box"] == [0, 0, 512, 512]


@pytest.mark.parametrize("url", ["https://example.org/a", "s3://bucket/a"])
@pytest.mark.parametrize(
    "command",
    [("analyze",), ("analyze", EXAMPLE, "--model"), ("video", "--out", "faces.csv")],
)
def test_a_url_is_named_as_it_was_given(
    command: tuple[object, ...], url: str, tmp_path: Path
) -> None:
    done = run(*command, url, cwd=tmp_path)
    assert done.returncode != 0
    assert url in done.stderr.decode()
    assert b"no such file" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert not any(tmp_path.iterdir())


def test_an_empty_path_is_not_a_folder() -> None:
    done = run("analyze", "")
    assert done.returncode == 1
    assert b"the path is empty" in done.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--detector", "eyes"], b"eyes"),
        (["--detector-model", "none.onnx"], b"none.onnx"),
        (["--detector-model", EXAMPLE], b"ONNX"),
        (["--model", "none.onnx"], b"none.onnx"),
    ],
)
def test_a_model_that_does_not_exist_is_wrong_usage(options: list[object], named: bytes) -> None:
    done = run("analyze", EXAMPLE, *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"mien: ")
    assert named in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with pipes")
def test_a_closed_pipe_ends_the_command() -> None:
    photos = " ".join([str(EXAMPLE)] * 12)
    line = f"{sys.executable} -m mien analyze --jsonl {photos} | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, timeout=120, check=False)
    assert json.loads(done.stdout)["size"] == [512, 512]
    assert done.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
def test_ctrl_c() -> None:
    command = [*MIEN, "analyze", "--jsonl", *[str(EXAMPLE)] * 2000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert message == b""
    assert time.monotonic() - started < 30


@posix
@pytest.mark.parametrize("command", ["analyze", "batch"])
def test_messages_do_not_reach_stdout_if_stderr_is_closed(tmp_path: Path, command: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(EXAMPLE.read_bytes())
    arguments = {
        "analyze": "analyze photo.jpg missing.jpg --jsonl",
        "batch": "batch . --out results.csv",
    }
    program = shlex.join(MIEN)
    shell = ["sh", "-c", f"{program} {arguments[command]} 2>&-"]
    done = subprocess.run(shell, check=False, stdout=subprocess.PIPE, cwd=tmp_path, timeout=120)
    if command == "batch":
        assert (done.returncode, done.stdout) == (0, b"")
        assert "happy" in (tmp_path / "results.csv").read_text()
    else:
        first, second = map(json.loads, done.stdout.splitlines())
        assert (done.returncode, len(first["faces"])) == (1, 1)
        assert second["error"]["code"] == "unreadable_file"


@posix
def test_a_pipe_is_annotated(tmp_path: Path) -> None:
    with (
        EXAMPLE.open("rb") as photo,
        subprocess.Popen(["cat"], stdin=photo, stdout=subprocess.PIPE) as cat,
    ):
        done = run("analyze", "/dev/stdin", "--annotate", tmp_path, stdin=cat.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["stdin.jpg"]


def test_a_long_name_does_not_stop_other_photos(tmp_path: Path) -> None:
    done = run("analyze", "a" * 300 + ".jpg", EXAMPLE, "--annotate", tmp_path, "--jsonl")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert first["error"]["code"] == "unreadable_file"
    assert len(second["faces"]) == 1
