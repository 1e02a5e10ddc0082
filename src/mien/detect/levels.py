"""Detection at several image sizes, for networks that find faces in a limited range of sizes.

The network runs on the image at half of its size, then at a quarter and so on, where it finds
larger faces. At full size it runs only around possible small ones, unless the image is small.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.detect.detections import faces_of
from mien.detect.full_resolution import MAX_OVERLAP, Rectangle, rectangles_around, unclear
from mien.detect.light import exposures
from mien.geometry import PAIRS, intersection_over_union, suppress
from mien.types import Face, RgbImage

__all__ = [
    "NOTICED",
    "SEARCHED_PIXELS",
    "LevelsDetector",
    "filled",
    "first_level_factor",
    "search",
    "smaller_levels",
]

Floats = NDArray[np.float32]
# Takes pixels (H, W, 3), returns rows (N, 15): score, box, five points, in these pixels.
Network = Callable[[NDArray[np.uint8]], Floats]

# The first level of larger images is a quarter of their width and height instead of half, as time
# grows with the pixels; not so if they were reduced while decoding.
SEARCHED_PIXELS = 1_700_000
# An image is not reduced so much that faces of ``min_face_size`` get smaller than this. If they
# were reduced to 20 pixels, one in five faces of 1.1 to 1.25 times ``min_face_size`` that have a
# high score at full size would be missed; at 32 pixels, one in twenty.
FACE_PX = 32
# Faces that fill an image of this longer side are found, so no smaller level is needed.
LAST_LEVEL_PX = 384
# From the second level on, smaller faces (longer side) are dropped: the first one has located them
# more accurately.
LARGE_FACE_PX = 64
# A level without a proposal of this score and longer side is the last. A face that fills a noisy
# image gets very low scores at the first level: see the column "grain" of benchmarks/closeups.py,
# with 0.22 instead of 0.1.
NOTICED, LARGE_PROPOSAL_PX = 0.1, 96
# Levels with a shorter side are left out: nothing is found in them.
LEAST_PX = 8
# The best box of a face becomes the mean of those with an intersection over union of at least this.
SAME_FACE = 0.6
# A box is dropped if its intersection with a better one is more than this share of the smaller one.
MAX_COVERED = 0.7
# Larger levels are searched in tiles, which bounds the memory. A face in the overlap is whole in
# at least one tile; larger ones are found at the next level.
TILE_PX, TILE_OVERLAP_PX = 1280, 384


class LevelsDetector(ABC):
    """A detector that searches at several image sizes.

    Attributes:
        default_min_score: Score from which a box counts as a face.
    """

    default_min_score: ClassVar[float]

    @abstractmethod
    def rows(self, image: RgbImage, min_face_size: int | None) -> Floats:
        """Return rows (N, 15) of possible faces: score, box, five points."""

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, largest box first, inside the image."""
        rows = self.detections(image, min_face_size=min_face_size, min_score=min_score)
        return faces_of(rows, image, min_face_size)

    def detections(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> Floats:
        """Return rows (N, 15) of the faces, boxes unclipped, best score first.

        If the contrast of the image is very low, a copy with more contrast is also searched.
        """
        rows = np.concatenate([self.rows(each, min_face_size) for each in exposures(image)])
        least = self.default_min_score if min_score is None else min_score
        rows = rows[rows[:, 0] >= np.float32(least)]
        kept = suppress(rows[:, 1:5], rows[:, 0], MAX_COVERED, of_smaller=True)
        return rows[kept]


def filled(pixels: NDArray[np.uint8], multiple_px: int) -> Floats:
    """Return pixels (H, W, 3) as planes, their sides zero-padded to multiples of ``multiple_px``.

    Returns:
        (1, 3, H', W') float32 planes.
    """
    height, width = (-(-side // multiple_px) * multiple_px for side in pixels.shape[:2])
    planes = np.zeros((1, 3, height, width), dtype=np.float32)
    planes[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
    return planes


def search(
    image: RgbImage,
    network: Network,
    min_face_size: int | None,
    min_score: float,
    *,
    possible: float = 0.0,
    last_level_px: int = LAST_LEVEL_PX,
    noticed_px: int = TILE_PX,
) -> Floats:
    """Return rows (N, 15) of the image's faces, best score first, in its pixels.

    Args:
        image: The image.
        network: Returns the proposals of one level, from the score NOTICED on.
        min_face_size: Longer side of the smallest face in pixels; None: as small as is found at
            the default size.
        min_score: Rows with a lower score are dropped.
        possible: Score from which a place of the first level is searched again at full size.
        last_level_px: Longer side of an image in which the network finds a face that fills it.
        noticed_px: Longer side of an image in which the network makes a large proposal, even if
            with a low score, for a face that fills it.
    """
    factor = full_size_factor(min_face_size)
    full = _reduced_size(image, factor)
    if min(full) < LEAST_PX:
        return np.empty((0, 15), dtype=np.float32)
    found: list[Floats] = []
    first = first_level_factor(image, min_face_size)
    for level, reduced_by in smaller_levels(image, first, last_level_px):
        rows = _tiled(np.asarray(level), network)
        sides = (rows[:, 3:5] - rows[:, 1:3]).max(axis=1)
        found.append(_scaled(rows[sides >= LARGE_FACE_PX] if found else rows, reduced_by))
        if max(level.size) <= noticed_px and not (sides >= LARGE_PROPOSAL_PX).any():
            break
    rectangles: Iterable[Rectangle] = [(0, 0, *full)]
    if found:
        rows = found[0][found[0][:, 0] >= np.float32(possible)]
        boxes = unclear(_scaled(rows, 1 / first)) * np.float32(first / factor)
        rectangles = rectangles_around(boxes, *full)
    for rectangle in rectangles:
        rows = _tiled(np.asarray(_part(image, factor, rectangle)), network)
        found.append(_scaled(_moved(rows, *rectangle[:2]), factor))
    rows = np.concatenate([np.empty((0, 15), dtype=np.float32), *found])
    rows = rows[rows[:, 0] >= np.float32(min_score)]
    return averaged(rows, suppress(rows[:, 1:5], rows[:, 0], MAX_OVERLAP))


def averaged(rows: Floats, kept: NDArray[np.intp]) -> Floats:
    """Return the kept rows, each with the mean box and points of all rows that overlap it much.

    Weights are the squares of the scores. A mean is closer to the face than the best box.
    """
    result = rows[kept]
    step = max(PAIRS // max(len(rows), 1), 1)
    for at in range(0, len(kept), step):
        best = kept[at : at + step]
        overlaps = intersection_over_union(rows[best, 1:5], rows[:, 1:5])
        # A box without area overlaps nothing, not even itself.
        overlaps[np.arange(len(best)), best] = 1
        weights = np.where(overlaps >= np.float32(SAME_FACE), rows[:, 0] ** 2, 0)
        means = weights @ rows[:, 1:] / weights.sum(axis=1, keepdims=True)
        result[at : at + step, 1:] = means
    return result


def full_size_factor(min_face_size: int | None) -> int:
    """Return the factor by which the full size is smaller than the image."""
    return 1 if min_face_size is None else max(1, min_face_size // FACE_PX)


def first_level_factor(image: RgbImage, min_face_size: int | None) -> int:
    """Return the factor by which the first level is smaller than the image."""
    is_large = image.stored_size is None and image.width * image.height > SEARCHED_PIXELS
    return 4 if is_large and min_face_size is None else 2 * full_size_factor(min_face_size)


def smaller_levels(
    image: RgbImage, factor: int, last_level_px: int = LAST_LEVEL_PX
) -> Iterator[tuple[Image.Image, int]]:
    """Yield the image reduced by ``factor``, by twice that and so on, each with its factor."""
    size = _reduced_size(image, factor // 2)
    level, step = image.picture, factor
    while max(size) > last_level_px and min(size) >= 2 * LEAST_PX:
        level = level.reduce(step)
        yield level, factor
        factor, step, size = 2 * factor, 2, level.size


def _reduced_size(image: RgbImage, factor: int) -> tuple[int, int]:
    """Return width and height as Pillow's ``reduce`` rounds them."""
    return -(-image.width // factor), -(-image.height // factor)


def _part(image: RgbImage, factor: int, rectangle: Rectangle) -> Image.Image:
    """Return a rectangle of the full size, whose other pixels are never computed."""
    left, top, right, bottom = (side * factor for side in rectangle)
    box = (left, top, min(right, image.width), min(bottom, image.height))
    return image.cropped(*box) if factor == 1 else image.picture.reduce(factor, box)


def _tiled(pixels: NDArray[np.uint8], network: Network) -> Floats:
    height, width, _ = pixels.shape
    found = []
    for top in _starts(height):
        for left in _starts(width):
            rows = network(pixels[top : top + TILE_PX, left : left + TILE_PX])
            found.append(_moved(rows, left, top))
    return np.concatenate(found)


def _moved(rows: Floats, right: int, down: int) -> Floats:
    """Return rows with boxes and points moved by ``right`` and ``down`` pixels."""
    offset = np.array([right, down] * 7, dtype=np.float32)
    return np.concatenate([rows[:, :1], rows[:, 1:] + offset], axis=1)


def _scaled(rows: Floats, factor: float) -> Floats:
    return np.concatenate([rows[:, :1], rows[:, 1:] * np.float32(factor)], axis=1)


def _starts(length: int) -> range:
    """Return where tiles begin along a side."""
    return range(0, max(length - TILE_OVERLAP_PX, 1), TILE_PX - TILE_OVERLAP_PX)
