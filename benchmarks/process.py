"""Processes that are asked in turn, so that all see the same noise."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# The threads of who was asked before spin for a while when they are done.
PAUSE_S = 0.25


@dataclass
class Worker:
    """A process that answers photo paths; ``first_answer_s`` counts from its start."""

    name: str
    process: subprocess.Popen[str]
    started: float
    first_answer_s: float = 0.0
    peak_mb: float = 0.0

    @classmethod
    def start(cls, name: str, *command: str) -> "Worker":
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return cls(name, process, started)

    def ask(self, photo: Path) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("no pipes")
        self.process.stdin.write(f"{photo}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        self.first_answer_s = self.first_answer_s or time.perf_counter() - self.started
        self.peak_mb = answer["peak_mb"]
        return answer

    def ask_again(self, photo: Path, repeats: int = 3) -> dict[str, Any]:
        """Return the answer of median time of a few, after a pause."""
        time.sleep(PAUSE_S)
        answers = [self.ask(photo) for _ in range(repeats)]
        return sorted(answers, key=lambda answer: float(answer["seconds"]))[repeats // 2]
