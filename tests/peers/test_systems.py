"""Environments of the systems: pinned, made once, measured without what installed them."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.process import ROOT
from benchmarks.versus_peers import __main__ as command
from benchmarks.versus_peers.systems import (
    PEERS,
    InstallError,
    System,
    is_ready,
    prepare,
    size_mb,
    systems,
)


def test_sizes_exclude_installers(tmp_path: Path) -> None:
    for name in ("library", "library/part", "pip", "setuptools-80.1.dist-info", "pip-9.dist-info"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(2**20))
    (tmp_path / "single.py").write_bytes(bytes(2**19))
    assert size_mb(tmp_path) == 2.5


def test_an_environment_is_rebuilt_when_its_pins_change(tmp_path: Path) -> None:
    mark, needs = tmp_path / ".ready", tmp_path / "requirements.txt"
    needs.touch()
    assert not is_ready(mark, needs)
    mark.touch()
    assert is_ready(mark, needs)
    os.utime(needs, (needs.stat().st_mtime + 10,) * 2)
    assert not is_ready(mark, needs)


def test_installation_errors_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.versus_peers.systems.PEERS", tmp_path)
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "requirements.txt").write_text("not a requirement\n")
    wrong = System(
        name="wrong", folder=folder, python=tmp_path / ".venv" / "bin" / "python", module="wrong"
    )
    with pytest.raises(InstallError, match="Invalid requirement"):
        wrong.install()
    assert not (tmp_path / ".venv" / ".ready").exists()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InstallError, match="Node"):
        System(name="node", folder=folder).install()


def test_some_systems_alone_are_not_mixed_with_earlier_results(
    system: Callable[[str], System],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(System, "installed_mb", lambda _: 7.5)
    monkeypatch.setattr(command, "LOG", tmp_path / "log")
    monkeypatch.setattr(command, "systems", lambda _: (system("good"), system("silent")))
    earlier = tmp_path / "earlier.json"
    kept = '{"systems": {"silent": {"versions": {}, "installed_mb": 3}}}'
    earlier.write_text(kept)
    options = ["--only", "good", "--sections", "one thread", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["", *options, "--results", str(earlier)])
    monkeypatch.setattr("benchmarks.versus_peers.measure.SIZES", ((64, 48),))
    command.main()
    printed = capsys.readouterr().out
    assert "| good |" in printed
    assert "silent" not in printed
    assert earlier.read_text() == kept


def test_systems_that_do_not_start_are_omitted_with_the_reason(
    system: Callable[[str], System], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(System, "installed_mb", lambda _: 7.5)
    with (tmp_path / "log").open("w") as log:
        ready, about, left_out = prepare([system("stillborn"), system("good")], log)
    assert [found.name for found in ready] == list(about) == ["good"]
    assert "Python" in about["good"]["versions"]
    assert about["good"]["installed_mb"] == 7.5
    assert left_out.keys() == {"stillborn"}
    assert "3" in left_out["stillborn"]


@pytest.mark.parametrize("system", systems(Path())[1:], ids=lambda system: system.name)
def test_peers_are_pinned_and_report_their_versions(system: System) -> None:
    if system.python is not None:
        lines = (system.folder / "requirements.txt").read_text().splitlines()
        assert all("==" in line for line in lines if not line.startswith("#"))
        return
    package = json.loads((system.folder / "package.json").read_text())
    assert all(version[0].isdigit() for version in package["dependencies"].values())
    # The host that each developer's npm uses is in its own settings.
    assert "resolved" not in (system.folder / "package-lock.json").read_text()


def test_migration_guide_imports_match_the_pinned_versions() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    for name in ("fer", "deepface"):
        (line,) = re.findall(rf"^from {name}\b.*$", page, re.MULTILINE)
        # The worker runs with them.
        assert line in (PEERS / name / "worker.py").read_text(encoding="utf-8").splitlines()
