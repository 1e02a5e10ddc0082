"""The commands where torch, onnx and jinja2 are not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien.artifacts import load_card
from mien.classify.onnx import DEFAULT_MODEL
from mien_train import cli, cli_training
from mien_train.parser import COMMANDS

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
EXTRAS = ("torch", "onnx", "jinja2", "h5py")


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(shutil.copytree(load_card(DEFAULT_MODEL).folder, tmp_path / "m") / "model.onnx")


def run_without_extras(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process in which no module of an extra can be imported."""
    missing = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS})); "
    code = missing + "from mien_train.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    """A folder with one photo and its labels."""
    shutil.copy(EXAMPLE, tmp_path)
    row = "astronaut.jpg,180,60,90,116,random,happy"
    (tmp_path / "labels.csv").write_text(f"file,x,y,width,height,draw,label\n{row}\n")
    return tmp_path


def test_photos_are_evaluated(labeled: Path) -> None:
    done = run_without_extras("evaluate", "--photos", ".", cwd=labeled)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 found, accuracy 1.0000" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with pipes")
def test_a_closed_pipe_ends_the_command(labeled: Path) -> None:
    line = f"{sys.executable} -m mien_train evaluate --photos {labeled} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (141, b"")


def test_faces_are_packed_calibrated_and_evaluated(
    fer_folder: Path, model: str, tmp_path: Path
) -> None:
    for arguments in (
        ["pack", str(fer_folder), "--out", "faces.npz"],
        ["calibrate", model, "--data", "faces.npz"],
        ["evaluate", model, "--data", "faces.npz"],
    ):
        done = run_without_extras(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["export", "checkpoint.pt", "--out", "x"], "torch is missing: pip install 'mien[train]'"),
        (["import", "m.keras", "--out", "x"], "is missing: pip install 'mien[keras]'"),
        (["card", "m.onnx", "--out", "x"], "jinja2 is missing: pip install 'jinja2'"),
        (["evaluate", "--data", ".", "--report", "x"], "jinja2 is missing: pip install 'jinja2'"),
    ],
)
def test_the_missing_package_is_named(tmp_path: Path, arguments: list[str], package: str) -> None:
    done = run_without_extras(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert package in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_is_reported(
    fer_folder: Path, recipe_file: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    for arguments in (
        ["train", str(recipe_file), "--data", str(fer_folder), "--out", str(file)],
        ["card", model, "--out", str(file / "card.md")],
        ["evaluate", model, "--data", str(fer_folder), "--report", str(file)],
    ):
        assert cli.main(arguments) == 1
        assert str(file) in capsys.readouterr().err


def test_a_missing_own_module_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien_train.cli_training")
    monkeypatch.setitem(sys.modules, "mien_train.quantize", None)
    with pytest.raises(ModuleNotFoundError, match="quantize"):
        cli.main(["export", "checkpoint.pt", "--out", "x"])


def test_each_listed_command_exists() -> None:
    assert {*cli._COMMANDS, *cli_training.COMMANDS} == {*COMMANDS}
