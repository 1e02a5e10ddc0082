"""Freed memory is kept, unless the environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt"
)

# Prints the page faults of ten rounds in which three arrays are made and freed.
ROUNDS = """
import resource
import numpy as np
from mien.memory import keep_freed_memory

def make():
    return [np.ones(12_000_000, dtype=np.uint8) for _ in range(3)]

keep_freed_memory()
make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment: str) -> int:
    run = [sys.executable, "-c", ROUNDS]
    inherited = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    return int(subprocess.check_output(run, env={**inherited, "GLIBC_TUNABLES": "", **environment}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", ""), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")],
)
def test_freed_memory_is_not_mapped_again(name: str, value: str) -> None:
    assert page_faults(**{name: value}) < 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "0"),
        ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=0"),
    ],
)
def test_the_users_settings_apply(name: str, value: str) -> None:
    assert page_faults(**{name: value}) > 1000
