"""Which faces of a photo with known boxes are found, and which boxes are on a face."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.geometry import intersection_over_union
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.types import RgbImage

MIN_OVERLAP = 0.5
# Recall is measured for faces of at least these heights.
HEIGHTS_PX = (20, 40, 80)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo with its faces; path; boxes (N, 4) left, top, right, bottom; counted (N,)."""

    path: Path
    image: RgbImage
    boxes: NDArray[np.float64]
    counted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a detector on a photo.

    heights (N,) of the counted faces and whether they are found (N,); verdicts (M,) on the boxes: 1
    on a face, 0 on none, NaN for those that don't count.
    """

    heights: NDArray[np.float64]
    found: NDArray[np.bool_]
    verdicts: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each box that counts is on a face."""
        return self.verdicts[~np.isnan(self.verdicts)] == 1


def photos_of(folder: Path) -> list[Photo]:
    """Return the photos that a folder's boxes.json names, in WIDER FACE's terms.

    The file is a list of {"file", "boxes_xywh", "invalid"}; invalid faces don't count.
    """
    photos = []
    for record in json.loads((folder / "boxes.json").read_text()):
        boxes = np.array(record["boxes_xywh"], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        image = load_image(folder / record["file"], max_pixels=MAX_PIXELS)
        photos.append(
            Photo(folder / record["file"], image, boxes, ~np.array(record["invalid"], dtype=bool))
        )
    return photos


def boxes_of(response: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the boxes (M, 4) of a worker's response, in its order."""
    boxes = [face["box"] for face in response["faces"]]
    return np.array(boxes, dtype=float).reshape(-1, 4)


def outcome(photo: Photo, found: NDArray[np.floating], min_overlap: float = MIN_OVERLAP) -> Outcome:
    """Return which faces of a photo are found by boxes (M, 4), best first, and which are right.

    A face is found where a box overlaps it by an intersection over union of at least
    ``min_overlap``, the best box first. Boxes on faces that don't count, count neither way.
    """
    limit = np.tile([photo.image.width, photo.image.height], 2)
    overlaps = intersection_over_union(np.clip(found, 0, limit), photo.boxes)
    taken = np.zeros(len(photo.boxes), dtype=bool)
    verdicts = []
    for row in np.where(overlaps >= min_overlap, overlaps, 0):
        free = np.where(taken, 0, row)
        if free.any():
            face = int(free.argmax())
            taken[face] = True
            verdicts.append(1 if photo.counted[face] else np.nan)
        else:
            verdicts.append(0)
    heights = photo.boxes[:, 3] - photo.boxes[:, 1]
    return Outcome(heights[photo.counted], taken[photo.counted], np.array(verdicts, dtype=float))


def recall(outcomes: list[Outcome], height_px: int) -> float:
    """Return the share of the faces of at least this height that are found."""
    found = [o.found[o.heights >= height_px] for o in outcomes]
    return float(np.concatenate(found).mean())


def precision(outcomes: list[Outcome]) -> float:
    """Return the share of the boxes that are on a face; 1 where there are none."""
    right = np.concatenate([o.right for o in outcomes])
    return float(right.mean()) if len(right) else 1.0
