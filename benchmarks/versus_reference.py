"""``mien`` against the reference pipeline: same photos, in turn, in one run.

    make bench

The reference runs in an environment of its own (.venv-reference, several gigabytes). Each photo
goes to the one and then the other, so both see the same noise; medians and the ratio of each pair
are printed, with their spread.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.photos import many_faces, one_face

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "benchmarks" / "peers" / "reference" / "worker.py"


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

    def ask(self, photo: Path) -> dict[str, float]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("no pipes")
        self.process.stdin.write(f"{photo}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped; its messages are above")
        answer: dict[str, float] = json.loads(line)
        self.first_answer_s = self.first_answer_s or time.perf_counter() - self.started
        self.peak_mb = answer["peak_mb"]
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", default=".venv-reference/bin/python", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    photos = {
        "640 x 480, one face": one_face(640, 480),
        "640 x 480, ten faces": many_faces(640, 480, 5, 2),
        "1920 x 1080, one face": one_face(1920, 1080),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for index, (name, data) in enumerate(photos.items()):
            paths[name] = Path(folder) / f"{index}.jpg"
            paths[name].write_bytes(data)
        compare(paths, arguments.reference, arguments.rounds)


def compare(photos: dict[str, Path], reference: str, rounds: int) -> None:
    workers = []
    for name, command in (
        ("mien", [sys.executable, "-m", "benchmarks.worker"]),
        ("reference", [reference, str(REFERENCE), "1"]),
    ):
        worker = Worker.start(name, *command)
        worker.ask(next(iter(photos.values())))
        workers.append(worker)
        print(f"{name}: first answer after {worker.first_answer_s:.2f} s")
    print(f"\n{'photo':24} {'mien ms':>9} {'ref ms':>9} {'ratio':>7}  (min - max)   faces")
    for name, path in photos.items():
        pairs = [[worker.ask(path) for worker in workers] for _ in range(rounds + 1)][1:]
        ours, theirs = ([pair[side]["seconds"] for pair in pairs] for side in (0, 1))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(
            f"{name:24} {statistics.median(ours) * 1e3:9.1f} {statistics.median(theirs) * 1e3:9.1f}"
            f" {statistics.median(ratios):7.1f}  ({min(ratios):.1f} - {max(ratios):.1f})"
            f"   {pairs[0][0]['faces']} / {pairs[0][1]['faces']}"
        )
    print()
    for worker in workers:
        print(f"{worker.name}: peak memory {worker.peak_mb:.0f} MB")
        worker.process.terminate()


if __name__ == "__main__":
    main()
