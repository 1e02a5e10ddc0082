"""The number of processor cores that this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["available_cores"]

_OWN_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def available_cores(own_groups: Path = _OWN_GROUPS, mount: Path = _MOUNT) -> int:
    """Return how many threads can compute at once, at least 1.

    That is limited by the process's affinity and by the quota of its container. A quota of 1.5
    cores counts as 1: the scheduler would stop a second thread half of the time.

    Source: cgroups(7); kernel documentation, cgroup-v2 (cpu.max), scheduler/sched-bwc (version 1).

    Args:
        own_groups: File with the control groups of the process.
        mount: Where the settings of control groups are mounted.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([allowed or 1, *_quotas(own_groups, mount)])))


def _quotas(own_groups: Path, mount: Path) -> Iterator[float]:
    """Yield the quotas of the process's groups and of the groups above them, in cores."""
    for controllers, group in _groups(own_groups):
        roots = [mount / controllers] if controllers else [mount, mount / "unified"]
        for folder in (root / above for root in roots for above in _upwards(group)):
            quota = _quota(folder)
            if quota is not None:
                yield quota


def _groups(own_groups: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield controllers (none in version 2) and path of each group that can limit the processor."""
    # In a container the path may be that of the host; the container's settings are at the mount.
    for line in [*_text(own_groups).splitlines(), "0::/"]:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or "cpu" in controllers.split(","):
            yield controllers, PurePosixPath(path.strip("/"))


def _upwards(group: PurePosixPath) -> Iterator[PurePosixPath]:
    yield group
    yield from group.parents


def _quota(folder: Path) -> float | None:
    """Return a group's quota in cores; None if it has none."""
    both = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us"),
        _text(folder / "cpu.cfs_period_us"),
    ]
    try:
        quota_us, period_us = map(int, both)
    except ValueError:  # "max", or no such file
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _text(file: Path) -> str:
    try:
        # The name of a group need not be UTF-8.
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
