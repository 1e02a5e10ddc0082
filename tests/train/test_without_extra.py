"""The command where torch is not installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien_train import __main__ as command
from mien_train import cli, cli_training
from mien_train.parser import COMMANDS

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def test_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("mien_train.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["mien-train", "export", "checkpoint.pt", "--out", "x"])
    assert command.main() == 1
    assert capsys.readouterr().err == "mien-train: this needs: pip install 'mien[train]'\n"


def test_a_missing_own_module_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien_train.cli", raising=False)
    monkeypatch.setitem(sys.modules, "mien_train.calibrate", None)
    with pytest.raises(ModuleNotFoundError, match="calibrate"):
        command.main()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], "usage: mien-train"),
        (["evaluate", "--photos", "."], "1 of 1 found, accuracy 1.0000"),
        (["evaluate", "--data", "."], "fer2013.csv"),
        (["calibrate", "model.onnx", "--data", "."], "fer2013.csv"),
        (["pack", ".", "--out", "faces.npz"], "faces.zip"),
    ],
)
def test_what_needs_no_extra(tmp_path: Path, arguments: list[str], said: str) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "labels.csv").write_text(
        "file,x,y,width,height,draw,votes,label\nastronaut.jpg,180,60,90,116,random,,happy\n"
    )
    missing = "import sys; sys.modules.update(torch=None, onnx=None, jinja2=None); "
    code = missing + "from mien_train.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert said in done.stdout + done.stderr


def test_each_listed_command_exists() -> None:
    assert {*cli._COMMANDS, *cli_training.COMMANDS} == {*COMMANDS}
