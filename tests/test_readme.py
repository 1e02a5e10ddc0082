"""What the README shows is what happens: every block is run, every answer compared."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mien.config import Settings
from mien.http.app import create_app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
CONSOLE = [block.removeprefix("$ ").split("\n", 1) for kind, block in BLOCKS if kind == "console"]


def test_it_opens_with_the_two_commands() -> None:
    first = re.findall(r"^    (make \w+)", TEXT, re.MULTILINE)
    assert first[:2] == ["make serve", "make test"]


def test_the_python_block_runs() -> None:
    (code,) = (block for kind, block in BLOCKS if kind == "python")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "happy" in done.stdout
    assert "no-such-photo" not in done.stdout


@pytest.mark.parametrize(("command", "shown"), [c for c in CONSOLE if c[0].startswith("mien")])
def test_the_command_line_prints_what_is_shown(command: str, shown: str) -> None:
    arguments = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == shown


@pytest.mark.parametrize(("command", "shown"), [c for c in CONSOLE if c[0].startswith("curl")])
def test_the_curl_line_answers_what_is_shown(command: str, shown: str) -> None:
    _, flag, field, url = shlex.split(command)
    name, path = field.split("=@")
    assert flag == "-F"
    with TestClient(create_app(Settings())) as client:
        photo = (ROOT / path).read_bytes()
        answer = client.post("/" + url.rsplit("/", 1)[1], files={name: (path, photo)})
    for ours, theirs in zip(answer.json(), json.loads(shown), strict=True):
        # Other processors round differently in the last places.
        assert ours.pop("confidence") == pytest.approx(theirs.pop("confidence"), abs=2e-3)
        assert ours == theirs


def test_every_file_it_names_is_there() -> None:
    for name in re.findall(r"\b((?:docs/|examples/)?[\w.-]+\.(?:md|jpg))\b", TEXT):
        if not name.startswith("no-such"):
            assert (ROOT / name).exists(), name
