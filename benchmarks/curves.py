"""Faces found against faces invented, over the threshold on the score, as a plot.

    python -m benchmarks.curves FOLDER [--yunet FILE] [--out docs/images/detection.svg]

FOLDER holds photos and boxes.json (see recall.py). Needs matplotlib (extra bench). The large dots
are the thresholds that each search comes with.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import matplotlib as mpl
import numpy as np

from benchmarks.recall import Outcome, Photo, outcome, photos_of, precision, recall
from mien.detect import yunet
from mien.detect.detections import Detections
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.mtcnn.search import Search

mpl.use("svg")
from matplotlib import pyplot as plt

HEIGHT_PX = 40
LEAST_SCORE = 0.3
THRESHOLDS = np.concatenate([np.arange(LEAST_SCORE, 0.95, 0.05), [0.95, 0.97, 0.99]])
# Below O-Net's own threshold of 0.7 facenet-pytorch gives nothing.
EXACT_LEAST = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--yunet", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("docs/images/detection.svg"))
    arguments = parser.parse_args()
    photos = photos_of(arguments.folder)
    mtcnn = MtcnnDetector()
    figure, axes = plt.subplots(figsize=(6.4, 4.6))
    draw(axes, "MTCNN, exact, from 20 px", photos, lambda p: lenient(mtcnn, p, 20), 0.9)
    draw(axes, "MTCNN, usual", photos, lambda p: lenient(mtcnn, p, None), 0.6)
    if arguments.yunet:
        detector = yunet.YunetDetector(arguments.yunet)
        with mock.patch.object(yunet, "MIN_SCORE", LEAST_SCORE):
            draw(axes, "YuNet", photos, lambda p: detector.detections(p.image), 0.65)
    axes.set_xlabel("precision: share of the boxes that are on a face")
    axes.set_ylabel(f"recall: share of the faces of {HEIGHT_PX} px and more")
    axes.set_xlim(0.7, 1.005)
    axes.set_ylim(0.4, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.tight_layout()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, metadata={"Date": None})
    print(arguments.out)


def lenient(detector: MtcnnDetector, photo: Photo, min_face_size: int | None) -> Detections:
    """Return what a search finds down to low scores."""
    search: Search = detector.search(photo.image, min_face_size)
    least = EXACT_LEAST if min_face_size else LEAST_SCORE
    thresholds = (*search.thresholds[:2], least)
    return detector._cascade.detect(photo.image, replace(search, thresholds=thresholds))


def draw(
    axes: plt.Axes,
    name: str,
    photos: list[Photo],
    detect: Callable[[Photo], Detections],
    own_threshold: float,
) -> None:
    """Draw the curve of a search, and print it."""
    found = [detect(photo) for photo in photos]
    curve = [point(photos, found, threshold) for threshold in THRESHOLDS]
    (line,) = axes.plot(*zip(*curve, strict=True), marker=".", label=name)
    axes.plot(*point(photos, found, own_threshold), "o", color=line.get_color(), markersize=10)
    for threshold, (x, y) in zip(THRESHOLDS, curve, strict=True):
        print(f"{name:26} score {threshold:.2f}: precision {x:.3f}, recall {y:.3f}")


def point(photos: list[Photo], found: list[Detections], threshold: float) -> tuple[float, float]:
    """Return precision and recall of the boxes with at least this score."""
    outcomes: list[Outcome] = [
        outcome(photo, f.boxes[f.scores >= threshold])
        for photo, f in zip(photos, found, strict=True)
    ]
    return precision(outcomes), recall(outcomes, HEIGHT_PX)


if __name__ == "__main__":
    main()
