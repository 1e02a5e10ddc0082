"""Detectors side by side: time, faces found and invented, memory; one table from one run.

    make bench-detectors PHOTOS=FOLDER

facenet-pytorch 2.6.0 with its own defaults, and mien's detectors with theirs. Each on one thread,
each photo to each in turn.
FOLDER holds photos and boxes.json (see recall.py). Times are medians over photos from all parts of
it, brought to four sizes, with the median of the ratios to the reference within each photo.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.process import Worker
from benchmarks.recall import HEIGHTS_PX, boxes_of, outcome, photos_of, precision, recall
from benchmarks.synthetic import resized
from mien.detect.registry import DETECTORS

LONGER_SIDES_PX = (640, 1280, 1920, 4000)
REFERENCE = ("-m", "benchmarks.peers.reference.detector")
OURS = (sys.executable, "-m", "benchmarks.detector_worker")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reference", default=".venv-reference/bin/python", metavar="PYTHON")
    parser.add_argument("--photos", type=int, default=20, help="for the times (default: 20)")
    arguments = parser.parse_args()
    if not (arguments.folder / "boxes.json").exists():
        parser.error(f"{arguments.folder} has no boxes.json; see benchmarks/recall.py for its form")
    workers = [
        Worker.start("facenet-pytorch", arguments.reference, *REFERENCE),
        *(Worker.start(f"mien, {name}", *OURS, name) for name in DETECTORS),
    ]
    print_found(workers, arguments.folder)
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(arguments.folder.glob("*.jpg"))
        # Neighbors by name show similar scenes.
        step = max(len(paths) // arguments.photos, 1)
        print_times(workers, paths[::step][: arguments.photos], Path(folder))
    print(
        f"\n{'peak memory':16}", *(f"{worker.name} {worker.peak_mb:.0f} MB" for worker in workers)
    )
    for worker in workers:
        worker.stop()


def print_found(workers: list[Worker], folder: Path) -> None:
    """Print recall by height of the face, precision and the number of boxes."""
    photos = photos_of(folder)
    faces = sum(int(photo.counted.sum()) for photo in photos)
    print(f"{len(photos)} photos, {faces} faces\n{'found':16}", end="")
    print(*(f"{f'>= {height} px':>10}" for height in HEIGHTS_PX), " precision     boxes")
    for worker in workers:
        boxes = [boxes_of(worker.ask(p.path)) for p in photos]
        outcomes = [outcome(p, found) for p, found in zip(photos, boxes, strict=True)]
        recalls = (f"{recall(outcomes, height):10.3f}" for height in HEIGHTS_PX)
        count = sum(map(len, boxes))
        print(f"{worker.name:16}", *recalls, f"{precision(outcomes):10.3f}{count:10}")


def print_times(workers: list[Worker], photos: list[Path], folder: Path) -> None:
    """Print median milliseconds per photo, and the baseline's time as a multiple."""
    for side in LONGER_SIDES_PX:
        seconds = []
        for path in photos:
            copy = folder / path.name
            resized(Image.open(path).convert("RGB"), side).save(copy, quality=92)
            seconds.append([worker.ask_again(copy, 1)["seconds"] for worker in workers])
        print(f"\nlonger side {side} px, {len(photos)} photos: median ms (5 % to 95 %), ratio")
        for worker, taken in zip(workers, zip(*seconds, strict=True), strict=True):
            low, high = np.percentile(taken, [5, 95]) * 1e3
            ratio = statistics.median(row[0] / t for row, t in zip(seconds, taken, strict=True))
            middle = statistics.median(taken) * 1e3
            print(f"{worker.name:16}{middle:10.1f} ({low:.1f} to {high:.1f}){ratio:8.1f}")


if __name__ == "__main__":
    main()
