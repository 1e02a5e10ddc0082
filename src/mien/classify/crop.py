"""Crop geometry: which part of the picture the classifier sees, and how it is sampled.

FER2013 frames its faces in its own way, so crops are brought into that frame: the same place,
scale and upright position that the training faces have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.types import Face, RgbImage

__all__ = ["Region", "crop_region", "crops_of", "region_of_face", "region_of_picture"]

# A detector's box is higher than wide; training faces fill their frame a little more than a
# square of the box's height would let them.
SIDE_OF_HEIGHT = 0.85
# A region is first reduced by whole pixels until it has at most this many per crop pixel, then
# sampled bilinearly at two points per crop pixel and axis: smooth without aliasing.
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
    """Return the region of a detected face."""
    box = face.box
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
        return _grey(image.pixels)
    half = region.side / 2 * (abs(math.cos(region.angle)) + abs(math.sin(region.angle)))
    left, right = _span(region.center_x, half, image.width)
    top, bottom = _span(region.center_y, half, image.height)
    source = Image.fromarray(image.pixels[top:bottom, left:right]).convert("L")
    factor = max(1, int(region.side / (size_px * OVERSAMPLING)))
    if factor > 1:
        source = source.reduce(factor)
    xs, ys = _grid(region, size_px * OVERSAMPLING)
    fine = _bilinear(
        np.asarray(source, dtype=np.float32),
        (xs - np.float32(left)) / np.float32(factor) - np.float32(0.5),
        (ys - np.float32(top)) / np.float32(factor) - np.float32(0.5),
    )
    coarse = fine.reshape(size_px, OVERSAMPLING, size_px, OVERSAMPLING).mean(axis=(1, 3))
    crop: NDArray[np.float32] = coarse / np.float32(255)
    return crop


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32) / np.float32(255)


def _span(center: float, half: float, length: int) -> tuple[int, int]:
    """Return the whole pixels around ``center`` that a region touches, at least one of them."""
    low = min(max(math.floor(center - half) - 1, 0), length - 1)
    high = max(min(math.ceil(center + half) + 1, length), low + 1)
    return low, high


def _grid(region: Region, points: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y (points, points) of the sampling points, in source-image coordinates."""
    offsets = (np.arange(points, dtype=np.float32) + np.float32(0.5)) / np.float32(points)
    steps = (offsets - np.float32(0.5)) * np.float32(region.side)
    cos, sin = np.float32(math.cos(region.angle)), np.float32(math.sin(region.angle))
    across, down = steps[None, :], steps[:, None]
    return (
        np.float32(region.center_x) + cos * across - sin * down,
        np.float32(region.center_y) + sin * across + cos * down,
    )


def _bilinear(
    source: NDArray[np.float32], xs: NDArray[np.float32], ys: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sample (H, W) at pixel-centre coordinates; outside, the nearest edge pixel counts."""
    height, width = source.shape
    xs, ys = np.clip(xs, 0, width - 1), np.clip(ys, 0, height - 1)
    left, top = xs.astype(np.intp), ys.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    dx, dy = xs - left, ys - top
    upper = source[top, left] * (1 - dx) + source[top, right] * dx
    lower = source[bottom, left] * (1 - dx) + source[bottom, right] * dx
    sampled: NDArray[np.float32] = upper * (1 - dy) + lower * dy
    return sampled
