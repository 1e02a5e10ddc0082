"""How many threads a container lets compute at once."""

import os
from pathlib import Path

import pytest

from mien import cores
from mien.cores import available_cores

V2 = "0::/a/b\n"
V1 = "4:memory:/x\n3:cpu,cpuacct:/docker/c\n0::/\n"


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def counted(folder: Path, groups: str, files: dict[str, str]) -> int:
    for name, text in files.items():
        file = folder / "mount" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "groups").write_text(groups)
    return available_cores(folder / "groups", folder / "mount")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8),
        ("nonsense\n", {"cpu.max": "?"}, 8),
        (V2, {"cpu.max": "max 100000\n"}, 8),
        (V2, {"cpu.max": "200000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "150000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000"}, 3),
        (V2, {"a/b/cpu.max": "50000 100000"}, 1),
        (V2, {"cpu.max": "1600000 100000"}, 8),
        (V2, {"cpu.max": "0 0"}, 8),
        # In a container that shows the host's path: only the mount has what counts.
        ("0::/../../host/path\n", {"cpu.max": "400000 100000"}, 4),
        (V1, {"cpu,cpuacct/docker/c/cpu.cfs_quota_us": "-1\n"}, 8),
        (
            V1,
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ("1:name=systemd:/\n0::/s\n", {"unified/s/cpu.max": "100000 100000"}, 1),
    ],
)
def test_the_smallest_quota_counts(
    groups: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert counted(tmp_path, groups, files) == expected


def test_without_control_groups(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "none", tmp_path) == 8


def test_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cores.os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path / "none", tmp_path) == 1


def test_here() -> None:
    assert available_cores() >= 1
