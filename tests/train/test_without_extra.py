"""The command where torch is not installed."""

import subprocess
import sys

import pytest

from mien_train import __main__ as command
from mien_train import cli
from mien_train.parser import COMMANDS


def test_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("mien_train.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.main() == 1
    assert capsys.readouterr().err == "mien-train needs: pip install 'mien[train]'\n"


def test_a_missing_own_module_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien_train.cli", raising=False)
    monkeypatch.setitem(sys.modules, "mien_train.calibrate", None)
    with pytest.raises(ModuleNotFoundError, match="calibrate"):
        command.main()


def test_help_needs_no_torch() -> None:
    arguments = (
        "import sys; sys.modules['torch'] = None; from mien_train.parser import parser; parser()"
    )
    subprocess.run([sys.executable, "-c", arguments], check=True)


def test_each_listed_command_exists() -> None:
    assert cli._COMMANDS.keys() == COMMANDS.keys()
