"""Throughput of ``mien batch``, and whether its memory grows with the number of photos.

    python -m benchmarks.batch FOLDER [--photos 10000]

Links the folder's JPEG files repeatedly into a temporary folder, runs the command on it and records
the memory of all its processes (shared memory counts once for each process).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

PARTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos_folder", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=10_000, metavar="N")
    options = parser.parse_args()
    photos = sorted(options.photos_folder.rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        for number in range(options.photos):
            photo = photos[number % len(photos)]
            link(photo, folder / f"{number:06}.jpg")
        out = Path(name) / "results.parquet"
        print(f"{options.photos} photos from {len(photos)} files")
        memory = watch(["batch", str(folder), "--out", str(out)])
    report(memory)


def link(photo: Path, target: Path) -> None:
    try:
        os.link(photo, target)
    except OSError:
        target.symlink_to(photo.resolve())


def watch(arguments: list[str]) -> list[int]:
    """Run the command and return the memory of its processes in bytes, sampled twice a second."""
    process = subprocess.Popen([sys.executable, "-m", "mien", *arguments])
    memory: list[int] = []
    while process.poll() is None:
        time.sleep(0.5)
        with suppress(psutil.NoSuchProcess):
            whole = psutil.Process(process.pid)
            memory.append(
                sum(p.memory_info().rss for p in [whole, *whole.children(recursive=True)])
            )
    return memory


def report(memory: list[int]) -> None:
    size = max(1, len(memory) // PARTS)
    parts = [statistics.median(memory[at : at + size]) for at in range(0, len(memory), size)]
    print("memory over time, MB:", " ".join(f"{part / 1e6:.0f}" for part in parts))


if __name__ == "__main__":
    main()
