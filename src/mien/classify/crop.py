"""Crop geometry: which part of the image the classifier sees, and how it is sampled.

A classifier expects faces in the same position, scale and rotation as in its training data. Each
face is therefore aligned: by its landmarks to a template or, if they do not fit, by its box.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.types import Box, Face, RgbImage

__all__ = [
    "FER2013_TEMPLATE",
    "Square",
    "Template",
    "align",
    "crop_square",
    "square_of_face",
    "square_of_image",
    "stretched",
]

# (x, y) of five points.
Points = Sequence[Sequence[float]]

# Landmarks are not used if they fit the template badly (residual as a share of the square's side),
# or if size or position of the fitted square differ too much from the box. This is common for faces
# that are turned away, covered or tiny.
MAX_RESIDUAL = 0.12
SIDE_RANGE = (0.6, 1.5)
MAX_SHIFT = 0.3
# The landmarks decide the angle. Center and side are mixed with those of the box, because box and
# landmarks err independently. Chosen by benchmarks/consistency.py.
BOX_SHARE = 0.3
# A crop whose shades span less than FLAT, from the first of these percentiles to the second, is
# stretched to the whole range; one that spans no more than BLANK shows nothing but noise.
FLAT_PERCENTILES = (1, 99)
FLAT, BLANK = 0.3, 3 / 255
# A square is first reduced by whole pixels while it keeps at least this many per crop pixel, then
# sampled bilinearly at as many points per crop pixel and axis.
OVERSAMPLING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A square in image pixels that may be rotated and may extend beyond the image.

    Attributes:
        center_x: Pixels from the left edge.
        center_y: Pixels from the top edge.
        side: Pixels.
        angle: Radians, clockwise as seen in the image.
    """

    center_x: float
    center_y: float
    side: float
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Template:
    """The position of a face in its crop, as in the training data.

    Attributes:
        points: Eyes, nose and corners of the mouth (5, 2) as shares of the side, from the top left
            corner; None if crops are squares around the box.
        side_of_height: Side of the crop as a share of the height of the face's box.
    """

    points: tuple[tuple[float, float], ...] | None
    side_of_height: float


# Medians of what MTCNN finds in FER2013's training faces, made symmetric.
# Measured by tools/measure_fer2013_template.py.
FER2013_TEMPLATE = Template(
    ((0.312, 0.388), (0.688, 0.388), (0.500, 0.604), (0.344, 0.787), (0.656, 0.787)), 0.94
)


def square_of_face(face: Face, template: Template = FER2013_TEMPLATE) -> Square:
    """Return the square of a detected face, aligned by its landmarks or else by its box."""
    by_box = _square_of_box(face.box, template.side_of_height)
    if face.landmarks is None or template.points is None:
        return by_box
    square, residual = align(face.landmarks.to_array().tolist(), template.points)
    shift = math.hypot(square.center_x - by_box.center_x, square.center_y - by_box.center_y)
    plausible = (
        residual <= MAX_RESIDUAL
        and SIDE_RANGE[0] <= square.side / by_box.side <= SIDE_RANGE[1]
        and shift <= MAX_SHIFT * by_box.side
    )
    return _between(square, by_box, BOX_SHARE) if plausible else by_box


def align(points: Points, template: Points) -> tuple[Square, float]:
    """Fit the square in which the template lies closest to the landmarks.

    A similarity transform by least squares, in complex numbers: point = a * template + b.
    Source: Umeyama 1991, for two dimensions without reflection.

    Args:
        points: Landmarks in pixels.
        template: The same points in shares of the square's side.

    Returns:
        The square, and the root mean square error of the fit, as a share of its side;
        infinite where the points coincide.
    """
    # Five points are too few for arrays to be faster.
    source, target = ([complex(x, y) for x, y in five] for five in (template, points))
    middle = sum(source) / len(source)
    centered = [point - middle for point in source]
    pairs = list(zip(centered, target, strict=True))
    a = sum(to * at.conjugate() for at, to in pairs) / sum(abs(at) ** 2 for at in centered)
    center = sum(target) / len(target)
    side = abs(a)
    residual = math.inf
    if side > 0:
        squares = sum(abs(a * at + center - to) ** 2 for at, to in pairs)
        residual = math.sqrt(squares / len(pairs)) / side
    center += a * (0.5 + 0.5j - middle)
    square = Square(center_x=center.real, center_y=center.imag, side=side, angle=cmath.phase(a))
    return square, residual


def _between(first: Square, second: Square, share: float) -> Square:
    """Return the first square with a share of the second's place and side."""
    return replace(
        first,
        center_x=first.center_x + share * (second.center_x - first.center_x),
        center_y=first.center_y + share * (second.center_y - first.center_y),
        side=first.side * (second.side / first.side) ** share,
    )


def _square_of_box(box: Box, side_of_height: float) -> Square:
    return Square(
        center_x=(box.left + box.right) / 2,
        center_y=(box.top + box.bottom) / 2,
        side=side_of_height * box.height,
    )


def square_of_image(width: int, height: int) -> Square:
    """Return the largest centered square of an image that is itself a cropped face."""
    return Square(center_x=width / 2, center_y=height / 2, side=float(min(width, height)))


def crop_square(
    image: RgbImage, square: Square, size_px: int, mode: str = "L"
) -> NDArray[np.float32]:
    """Sample a square.

    Args:
        image: The image; its edge pixels are repeated outside of it.
        square: The square to sample.
        size_px: Side of the crop.
        mode: ``L`` for grey, ``RGB`` for colors.

    Returns:
        (size_px, size_px) or (size_px, size_px, 3) float32 in [0, 1], stretched where it is flat.
    """
    if square.angle == 0.0 and square.side == image.width == image.height == size_px:
        return stretched(_shades(image.picture.convert(mode)))
    half = square.side / 2 * (abs(math.cos(square.angle)) + abs(math.sin(square.angle)))
    left, right = _span(square.center_x, half, image.width)
    top, bottom = _span(square.center_y, half, image.height)
    source = image.cropped(left, top, right, bottom).convert(mode)
    factor = max(1, int(square.side / (size_px * OVERSAMPLING)))
    if factor > 1:
        source = source.reduce(factor)
    # The square in pixels of the reduced source.
    x, y = (square.center_x - left) / factor, (square.center_y - top) / factor
    source, beyond_left, beyond_top = _with_edges(source, x, y, half / factor)
    points = size_px * OVERSAMPLING
    fine = source.transform(
        (points, points),
        Image.Transform.AFFINE,
        _affine(x + beyond_left, y + beyond_top, square.side / factor, square.angle, points),
        Image.Resampling.BILINEAR,
    )
    return stretched(_shades(fine.reduce(OVERSAMPLING)))


def stretched(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch a crop with values in [0, 1] to the whole range if its contrast is very low.

    Percentiles decide, so that a few black or white pixels do not hide a dark face.
    """
    shades = np.sort(crop, axis=None)
    low, high = (shades[len(shades) * percent // 100] for percent in FLAT_PERCENTILES)
    if not BLANK < high - low < FLAT:
        return crop
    clipped: NDArray[np.float32] = np.clip((crop - low) / (high - low), 0, 1)
    return clipped


def _shades(crop: Image.Image) -> NDArray[np.float32]:
    return np.asarray(crop, dtype=np.float32) / np.float32(255)


def _span(center: float, half: float, length: int) -> tuple[int, int]:
    """Return the whole pixels around ``center`` that a square touches, at least one of them."""
    low = min(max(math.floor(center - half) - 1, 0), length - 1)
    high = max(min(math.ceil(center + half) + 1, length), low + 1)
    return low, high


def _with_edges(
    source: Image.Image, x: float, y: float, half: float
) -> tuple[Image.Image, int, int]:
    """Pad an image with its edge pixels so that it covers ``half`` pixels around x and y.

    Returns:
        The padded image, and how many pixels were added at its left and at its top.
    """
    beyond = [math.ceil(max(edge, 0)) for edge in (half - x, half - y)]
    after = [
        math.ceil(max(center + half - length, 0))
        for center, length in zip((x, y), source.size, strict=True)
    ]
    if any(beyond) or any(after):
        (left, top), (right, bottom) = beyond, after
        pixels = np.asarray(source)
        colors = [(0, 0)] * (pixels.ndim - 2)
        margins = [(top, bottom), (left, right), *colors]
        source = Image.fromarray(np.pad(pixels, margins, mode="edge"))
    return source, beyond[0], beyond[1]


def _affine(x: float, y: float, side: float, angle: float, points: int) -> tuple[float, ...]:
    """Return Pillow's affine coefficients from output pixels to a turned square around x and y."""
    cos, sin = math.cos(angle) * side / points, math.sin(angle) * side / points
    middle = points / 2
    return cos, -sin, x - (cos - sin) * middle, sin, cos, y - (sin + cos) * middle
