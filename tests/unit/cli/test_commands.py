import os
import re
import runpy
import sys
import types
from pathlib import Path

import pytest

from mien import __version__, artifacts, cli
from mien.cli import main
from mien.detect.registry import DETECTORS
from mien.settings import Settings

CARD = """
name = "small"
task = "emotion"
description = "a made-up model"
licence = "Apache-2.0"
source = "a test"
[files]
"model.onnx" = "{sha256}"
[model]
labels = ["happy", "sad"]
[measured.test]
accuracy = 0.5
confusion = [[1, 2], [3, 4]]
[measured.test.six.deeper]
hidden = 1
"""
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# The modules that can be run as a command.
COMMANDS = sorted(
    path.stem
    for path in Path(cli.__file__).parent.glob("*.py")
    if "\ndef run(" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "card.toml").write_text(CARD.format(sha256=SHA256_OF_ABC))
    (folder / "model.onnx").write_bytes(b"abc")
    monkeypatch.setattr(artifacts, "_root", lambda: tmp_path)
    return folder


def test_without_a_command(mien) -> None:
    done = mien()
    assert (done.status, done.err) == (0, "")
    assert done.out == mien("--help").out


def test_unknown_command(mien) -> None:
    done = mien("analyse")
    assert done.status == 2
    assert [name for name in COMMANDS if repr(name) not in done.err] == []


def test_version(mien) -> None:
    assert mien("--version").out == f"mien {__version__}\n"


def test_help_names_every_command(mien) -> None:
    done = mien("--help")
    assert done.status == 0
    assert re.findall(r"^  (\w+) +\w", done.out, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(mien, command: str) -> None:
    done = mien(command, "--help")
    assert done.status == 0
    assert done.out.startswith(f"usage: mien {command}")


@pytest.mark.parametrize("command", [[], ["models", "show"], *([name] for name in COMMANDS)])
def test_options_have_no_abbreviations(mien, command: list[str]) -> None:
    assert mien(*command, "--help").status == 0
    assert mien(*command, "--hel").status == 2


OUTPUTS = (
    ("batch . --out", "t.csv", "t.xls"),
    ("report t.csv --out", "p.html", "p.txt"),
    ("report t.csv --sheet", "s.png", "s.gif"),
    ("video c.mp4 --out", "t.csv", "t.xls"),
    ("video c.mp4 --annotate", "c.mp4", "c.gif"),
    ("video c.mp4 --plot", "p.png", "p.webp"),
)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (arguments, output)
        for arguments, name, other in OUTPUTS
        for output in (f"nowhere/{name}", f"mine/{name}", other)
    ],
)
def test_an_output_that_can_not_be_written_is_wrong_usage(
    mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine" / Path(output).name
    mine.parent.mkdir()
    mine.write_text("mine")
    done = mien(*arguments.split(), output)
    assert (done.status, done.out) == (2, "")
    assert output.partition("/")[0] in done.err.splitlines()[-1]
    assert mine.read_text() == "mine"
    assert set(tmp_path.rglob("*")) == {mine.parent, mine}


@pytest.mark.parametrize("command", ["analyze", "serve"])
def test_help_names_every_detector(mien, command: str) -> None:
    help_text = mien(command, "--help").out
    assert [name for name in DETECTORS if name not in help_text] == []


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_list(mien, models: Path, arguments: list[str]) -> None:
    done = mien("models", *arguments)
    assert (done.status, done.err) == (0, "")
    assert done.out.split() == ["small", "emotion", "a", "made-up", "model"]


def test_no_models_at_all(mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_root", lambda: tmp_path)
    assert mien("models").out == ""
    assert mien("models", "verify").status == 0


def test_show(mien, models: Path) -> None:
    lines = mien("models", "show", "small").out.splitlines()
    assert "licence: Apache-2.0" in lines
    assert f"  model.onnx: {SHA256_OF_ABC}" in lines
    assert "  labels: happy, sad" in lines
    assert "    accuracy: 0.5" in lines
    assert not any("confusion" in line or "hidden" in line for line in lines)


def test_show_leaves_out_what_a_card_does_not_have(mien) -> None:
    lines = mien("models", "show", "mtcnn").out.splitlines()
    assert [line for line in lines if line.endswith(":")] == ["files:"]


def test_show_unknown(mien, models: Path) -> None:
    done = mien("models", "show", "large")
    assert (done.status, done.out) == (2, "")
    assert "large" in done.err
    assert "small" in done.err


def test_verify(mien, models: Path) -> None:
    done = mien("models", "verify")
    assert (done.status, done.out, done.err) == (0, "small: intact\n", "")
    (models / "model.onnx").write_bytes(b"abd")
    done = mien("models", "verify")
    assert (done.status, done.out) == (1, "")
    assert "model.onnx" in done.err


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """No server: the settings that it would have run with."""
    seen: list[Settings] = []
    server = types.ModuleType("mien.server.run")
    server.serve = lambda settings: seen.append(settings) or 0
    monkeypatch.setitem(sys.modules, "mien.server.run", server)
    monkeypatch.delitem(sys.modules, "mien.cli.serve", raising=False)
    monkeypatch.delattr(cli, "serve", raising=False)
    return seen


def test_serve(mien, served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_PORT", "8000")
    monkeypatch.setenv("MIEN_WORKERS", "3")
    done = mien("serve", "--host", "0.0.0.0", "--port", "9100", "--model", "m.onnx")
    assert done.status == 0
    (settings,) = served
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 9100, 3)
    assert str(settings.model) == "m.onnx"


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--workers", "0"], ["--port", "x"]])
def test_serve_with_wrong_numbers(mien, served: list[Settings], arguments: list[str]) -> None:
    assert mien("serve", *arguments).status == 2
    assert served == []


def test_unexpected_exit_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise SystemExit("message")

    monkeypatch.setattr(cli, "_parser", leave)
    assert main([]) == 2


def test_closed_output(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        assert main(["models"]) == 141
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_can_not_be_written(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["models"]) == 1
    reported = capfd.readouterr().err
    assert reported.startswith("mien: ")
    assert reported.count("\n") == 1


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["mien", "--version"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("mien", run_name="__main__")
    assert left.value.code == 0
    assert capfd.readouterr().out == f"mien {__version__}\n"
