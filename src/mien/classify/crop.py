"""Crop geometry: which part of the picture the classifier sees, and how it is sampled.

FER2013 frames its faces in its own way, so crops are brought into that frame: the same place,
scale and upright position that the training faces have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.types import Box, Face, RgbImage

__all__ = [
    "Region",
    "align",
    "crop_region",
    "crops_of",
    "region_of_face",
    "region_of_picture",
    "stretched",
]

# Where the five landmarks lie in FER2013's frame, as shares of its side: medians of what MTCNN
# finds in its training faces, made symmetric. Measured by tools/measure_fer2013_frame.py.
FRAME = np.array([[0.312, 0.388], [0.688, 0.388], [0.500, 0.604], [0.344, 0.787], [0.656, 0.787]])
# The frame's side as a share of the box's height, from the same measurement.
SIDE_OF_HEIGHT = 0.94
# Landmarks are poor where they don't fit the frame (residual as a share of its side), or put it
# at a size or place that the box denies: turned-away, covered or tiny faces.
MAX_RESIDUAL = 0.12
SIDE_RANGE = (0.6, 1.5)
MAX_SHIFT = 0.3
# Landmarks turn the region; its place and side come in part from the box, whose errors are others.
# Chosen by benchmarks/consistency.py.
BOX_SHARE = 0.3
# A crop whose shades span less than FLAT, from the first of these percentiles to the second, is
# stretched to the whole range; one that spans no more than BLANK shows nothing but noise.
FLAT_PERCENTILES = (1, 99)
FLAT, BLANK = 0.3, 3 / 255
# A region is first reduced by whole pixels while it keeps at least this many per crop pixel, then
# sampled bilinearly at as many points per crop pixel and axis.
OVERSAMPLING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A square in source-image pixels that may be turned and may reach over the edge.

    angle: radians, clockwise as seen in the picture.
    """

    center_x: float
    center_y: float
    side: float
    angle: float = 0.0


def region_of_face(face: Face) -> Region:
    """Return the region of a detected face: aligned by its landmarks, or by its box."""
    by_box = _region_of_box(face.box)
    if face.landmarks is None:
        return by_box
    region, residual = align(face.landmarks.to_array())
    shift = math.hypot(region.center_x - by_box.center_x, region.center_y - by_box.center_y)
    plausible = (
        residual <= MAX_RESIDUAL
        and SIDE_RANGE[0] <= region.side / by_box.side <= SIDE_RANGE[1]
        and shift <= MAX_SHIFT * by_box.side
    )
    return _between(region, by_box, BOX_SHARE) if plausible else by_box


def align(points: NDArray[np.float64]) -> tuple[Region, float]:
    """Return the region whose frame fits five points (5, 2) best, and how well it does.

    A similarity transform by least squares, in complex numbers: point = a * frame + b. The second
    value is the root mean square distance that is left, as a share of the region's side; infinite
    where the points coincide. Source: Umeyama 1991, for two dimensions without reflection.
    """
    frame = FRAME @ (1, 1j)
    face = points @ (1, 1j)
    centred = frame - frame.mean()
    a = (face @ centred.conj()) / (centred @ centred.conj())
    b = face.mean() - a * frame.mean()
    side = abs(a)
    residual = math.inf
    if side > 0:
        residual = float(np.sqrt((np.abs(a * frame + b - face) ** 2).mean())) / side
    center = a * (0.5 + 0.5j) + b
    region = Region(
        center_x=float(center.real),
        center_y=float(center.imag),
        side=float(side),
        angle=float(np.angle(a)),
    )
    return region, residual


def _between(first: Region, second: Region, share: float) -> Region:
    """Return the first region with a share of the second's place and side."""
    return replace(
        first,
        center_x=first.center_x + share * (second.center_x - first.center_x),
        center_y=first.center_y + share * (second.center_y - first.center_y),
        side=first.side * (second.side / first.side) ** share,
    )


def _region_of_box(box: Box) -> Region:
    return Region(
        center_x=(box.left + box.right) / 2,
        center_y=(box.top + box.bottom) / 2,
        side=SIDE_OF_HEIGHT * box.height,
    )


def region_of_picture(width: int, height: int) -> Region:
    """Return the largest centred square of a picture that is itself a cropped face."""
    return Region(center_x=width / 2, center_y=height / 2, side=float(min(width, height)))


def crops_of(image: RgbImage, regions: Sequence[Region], size_px: int) -> NDArray[np.float32]:
    """Return (N, 1, size_px, size_px) grey crops in [0, 1]; N may be 0."""
    crops = np.empty((len(regions), 1, size_px, size_px), dtype=np.float32)
    for row, region in zip(crops, regions, strict=True):
        row[0] = crop_region(image, region, size_px)
    return crops


def crop_region(image: RgbImage, region: Region, size_px: int) -> NDArray[np.float32]:
    """Return (size_px, size_px) float32 grey in [0, 1]; the picture's edge goes on outside it."""
    if region.angle == 0.0 and region.side == image.width == image.height == size_px:
        return stretched(_shades(image.picture.convert("L")))
    half = region.side / 2 * (abs(math.cos(region.angle)) + abs(math.sin(region.angle)))
    left, right = _span(region.center_x, half, image.width)
    top, bottom = _span(region.center_y, half, image.height)
    source = image.picture.crop((left, top, right, bottom)).convert("L")
    factor = max(1, int(region.side / (size_px * OVERSAMPLING)))
    if factor > 1:
        source = source.reduce(factor)
    # The region in pixels of the reduced source.
    x, y = (region.center_x - left) / factor, (region.center_y - top) / factor
    source, beyond_left, beyond_top = _with_edges(source, x, y, half / factor)
    points = size_px * OVERSAMPLING
    fine = source.transform(
        (points, points),
        Image.Transform.AFFINE,
        _affine(x + beyond_left, y + beyond_top, region.side / factor, region.angle, points),
        Image.Resampling.BILINEAR,
    )
    return stretched(_shades(fine.reduce(OVERSAMPLING)))


def stretched(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a crop (S, S) in [0, 1] with its contrast raised where it has very little.

    Percentiles, so that a few black or white pixels do not hide a dark face.
    """
    low, high = np.percentile(crop, FLAT_PERCENTILES).astype(np.float32)
    if not BLANK < high - low < FLAT:
        return crop
    raised: NDArray[np.float32] = np.clip((crop - low) / (high - low), 0, 1)
    return raised


def _shades(grey: Image.Image) -> NDArray[np.float32]:
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def _span(center: float, half: float, length: int) -> tuple[int, int]:
    """Return the whole pixels around ``center`` that a region touches, at least one of them."""
    low = min(max(math.floor(center - half) - 1, 0), length - 1)
    high = max(min(math.ceil(center + half) + 1, length), low + 1)
    return low, high


def _with_edges(
    source: Image.Image, x: float, y: float, half: float
) -> tuple[Image.Image, int, int]:
    """Return a picture that reaches ``half`` around x and y, its edge going on where it does not.

    Returns, too, how many pixels were added at its left and at its top.
    """
    beyond = [math.ceil(max(edge, 0)) for edge in (half - x, half - y)]
    after = [
        math.ceil(max(center + half - length, 0))
        for center, length in zip((x, y), source.size, strict=True)
    ]
    if any(beyond) or any(after):
        (left, top), (right, bottom) = beyond, after
        pixels = np.pad(np.asarray(source), ((top, bottom), (left, right)), mode="edge")
        source = Image.fromarray(pixels)
    return source, beyond[0], beyond[1]


def _affine(x: float, y: float, side: float, angle: float, points: int) -> tuple[float, ...]:
    """Return what takes output pixels to the square of this side around x and y, turned."""
    cos, sin = math.cos(angle) * side / points, math.sin(angle) * side / points
    middle = points / 2
    return cos, -sin, x - (cos - sin) * middle, sin, cos, y - (sin + cos) * middle
