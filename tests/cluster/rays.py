"""Rays and services on them, each in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent


@contextmanager
def running(script: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run a script beside this file until it is not needed.

    Gives what it says once it is ready, and its ``process``.
    """
    command = [sys.executable, str(HERE / script), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        lines = iter(process.stdout.readline, "")
        first = next((line for line in lines if line.startswith("{")), None)
        assert first, process.communicate()[1]
        yield {**json.loads(first), "process": process}
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.communicate(timeout=120)
        for child in psutil.wait_procs(children, timeout=30)[1]:
            child.kill()
