"""Faces found and faces invented on photos with known boxes.

    python -m benchmarks.recall FOLDER

FOLDER holds photos and boxes.json: a list of {"file", "boxes_xywh", "invalid"}, in WIDER FACE's
terms. A face is found where a box overlaps it by an intersection over union of at least 0.5, the
best score first. Boxes on faces marked invalid count neither way.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.detect.mtcnn import MtcnnDetector
from mien.geometry import intersection_over_union
from mien.image import load_image
from mien.types import RgbImage

MIN_OVERLAP = 0.5
HEIGHTS_PX = (20, 40, 80)
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo with its faces; boxes (N, 4) left, top, right, bottom; counted (N,)."""

    image: RgbImage
    boxes: NDArray[np.float64]
    counted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector made of a photo.

    heights (N,) of the counted faces and found (N,); scores (M,) of the boxes that count, and
    right (M,), whether they are on a face.
    """

    heights: NDArray[np.float64]
    found: NDArray[np.bool_]
    right: NDArray[np.bool_]
    seconds: float


def photos_of(folder: Path) -> list[Photo]:
    """Return the photos that boxes.json names."""
    photos = []
    for record in json.loads((folder / "boxes.json").read_text()):
        boxes = np.array(record["boxes_xywh"], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        image = load_image(folder / record["file"], max_pixels=MAX_PIXELS)
        photos.append(Photo(image, boxes, ~np.array(record["invalid"], dtype=bool)))
    return photos


def outcome(detector: MtcnnDetector, photo: Photo, min_face_size: int | None) -> Outcome:
    """Return which faces of a photo are found, and which boxes are right."""
    started = time.perf_counter()
    found = detector.detections(photo.image, min_face_size=min_face_size)
    seconds = time.perf_counter() - started
    limit = np.tile([photo.image.width, photo.image.height], 2)
    overlaps = intersection_over_union(np.clip(found.boxes, 0, limit), photo.boxes)
    taken = np.zeros(len(photo.boxes), dtype=bool)
    right = []
    for row in np.where(overlaps >= MIN_OVERLAP, overlaps, 0):
        free = np.where(taken, 0, row)
        if free.any():
            face = int(free.argmax())
            taken[face] = True
            if photo.counted[face]:
                right.append(True)
        else:
            right.append(False)
    heights = photo.boxes[:, 3] - photo.boxes[:, 1]
    return Outcome(
        heights[photo.counted], taken[photo.counted], np.array(right, dtype=bool), seconds
    )


def recall(outcomes: list[Outcome], height_px: int) -> float:
    """Return the share of the faces of at least this height that are found."""
    found = [o.found[o.heights >= height_px] for o in outcomes]
    return float(np.concatenate(found).mean())


def precision(outcomes: list[Outcome]) -> float:
    """Return the share of the boxes that are on a face."""
    return float(np.concatenate([o.right for o in outcomes]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    photos = photos_of(arguments.folder)
    detector = MtcnnDetector()
    print(
        f"{len(photos)} photos, {sum(int(p.counted.sum()) for p in photos)} faces\n{'search':10}",
        *(f"  >= {height} px" for height in HEIGHTS_PX),
        "  precision  ms a photo",
    )
    for name, smallest in (("exact, 20", 20), ("exact, 40", 40), ("usual", None)):
        outcomes = [outcome(detector, photo, smallest) for photo in photos]
        recalls = [f"{recall(outcomes, height):10.3f}" for height in HEIGHTS_PX]
        milliseconds = statistics.median(o.seconds for o in outcomes) * 1e3
        print(f"{name:10}", *recalls, f"{precision(outcomes):11.3f}{milliseconds:12.1f}")


if __name__ == "__main__":
    main()
