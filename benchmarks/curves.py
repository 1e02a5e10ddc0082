"""Faces found against boxes that are right, over the threshold on the score, for each detector.

    python -m benchmarks.curves FOLDER ... [--yunet FILE] [--out docs/images/detection.svg]

Each FOLDER holds photos and boxes.json (see recall.py); all are one set. Needs matplotlib (extra
bench). Prints a table; the large dots in the plot are the thresholds that the detectors come with.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recall import HEIGHTS_PX, Outcome, Photo, outcome, photos_of, precision, recall
from benchmarks.svg import plt, save
from mien.detect import centerface, mtcnn, yunet
from mien.detect.registry import build_detector

# (N, 15): score, box, five points.
Rows = NDArray[np.float32]
DRAWN_PX = 40
THRESHOLDS = np.arange(0.3, 1, 0.05)
DEFAULTS = {
    "yunet": yunet.MIN_SCORE,
    "centerface": centerface.MIN_SCORE,
    "mtcnn": mtcnn.MIN_SCORE,
    "yunet with a file": yunet.MIN_SCORE,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--yunet", type=Path, metavar="FILE", help="another YuNet, too")
    parser.add_argument("--every", type=int, default=1, help="only each n-th photo")
    parser.add_argument("--out", type=Path, default=Path("docs/images/detection.svg"))
    arguments = parser.parse_args()
    photos = [p for folder in arguments.folders for p in photos_of(folder)][:: arguments.every]
    detectors = {name: build_detector(name) for name in ("yunet", "centerface", "mtcnn")}
    if arguments.yunet:
        detectors["yunet with a file"] = build_detector("yunet", arguments.yunet)
    found = {
        name: [detector.detections(p.image, min_score=float(THRESHOLDS[0])) for p in photos]
        for name, detector in detectors.items()
    }
    print_table(photos, found)
    draw(photos, found, arguments.out)
    print(arguments.out)


def print_table(photos: list[Photo], found: Mapping[str, list[Rows]]) -> None:
    faces = sum(int(photo.counted.sum()) for photo in photos)
    heights = "".join(f"{f'>= {height} px':>10}" for height in HEIGHTS_PX)
    print(f"{len(photos)} photos, {faces} faces\n{'detector':18} score precision{heights}")
    for name, detections in found.items():
        for threshold in sorted({*THRESHOLDS.round(2), DEFAULTS[name]}):
            outcomes = at(photos, detections, threshold)
            recalls = "".join(f"{recall(outcomes, height):10.3f}" for height in HEIGHTS_PX)
            mark = "*" if threshold == DEFAULTS[name] else " "
            print(f"{name:18} {threshold:.2f}{mark} {precision(outcomes):9.3f}{recalls}")


def draw(photos: list[Photo], found: Mapping[str, list[Rows]], out: Path) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    for name, detections in found.items():
        curve = [point(photos, detections, threshold) for threshold in THRESHOLDS]
        (line,) = axes.plot(*zip(*curve, strict=True), marker=".", label=name)
        default = point(photos, detections, DEFAULTS[name])
        axes.plot(*default, "o", color=line.get_color(), markersize=10)
    axes.set_xlabel("precision: share of the boxes that are on a face")
    axes.set_ylabel(f"recall: share of the faces of {DRAWN_PX} px and more")
    axes.set_xlim(0.75, 1.005)
    axes.set_ylim(0.6, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    save(figure, out)


def point(photos: list[Photo], detections: list[Rows], threshold: float) -> tuple[float, float]:
    """Return precision and recall of the boxes with at least this score."""
    outcomes = at(photos, detections, threshold)
    return precision(outcomes), recall(outcomes, DRAWN_PX)


def at(photos: list[Photo], detections: list[Rows], threshold: float) -> list[Outcome]:
    return [
        outcome(photo, rows[rows[:, 0] >= threshold, 1:5])
        for photo, rows in zip(photos, detections, strict=True)
    ]


if __name__ == "__main__":
    main()
