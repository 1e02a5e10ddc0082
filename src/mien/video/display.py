"""From stored frames to what a player displays: pixel aspect ratio, rotation and mirroring."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.types import RgbImage

__all__ = ["displayed", "displayed_size", "oriented"]

# Wider or narrower pixels are in no standard: the value is damaged.
_MAX_ASPECT = 8
_DISPLAY_MATRIX = "DISPLAYMATRIX"


def displayed_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Return ``(width, height)`` with square pixels, before rotation; neither side shrinks.

    Args:
        width: Stored pixels in a row.
        height: Stored rows.
        pixel_aspect: Width of a stored pixel divided by its height; None where unknown.
    """
    if not pixel_aspect or not Fraction(1, _MAX_ASPECT) <= pixel_aspect <= _MAX_ASPECT:
        return width, height
    if pixel_aspect > 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def displayed(frame: Any, pixel_aspect: Fraction | None) -> RgbImage:
    """Return a frame as a player displays it.

    Args:
        frame: PyAV's ``VideoFrame``.
        pixel_aspect: Width of a stored pixel divided by its height; None where unknown.
    """
    width, height = displayed_size(frame.width, frame.height, pixel_aspect)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
    matrix = next((d for d in frame.side_data if d.type.name == _DISPLAY_MATRIX), None)
    if matrix is not None:
        pixels = oriented(pixels, np.frombuffer(bytes(matrix), dtype=np.int32))
    return RgbImage(np.ascontiguousarray(pixels))


def oriented(pixels: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return pixels turned and mirrored by a display matrix, to the nearest quarter turn.

    Args:
        pixels: (H, W, 3) stored pixels.
        matrix: (9,) a, b, u, c, d, v, x, y, w: column p and row q of a stored pixel are displayed
            at column a p + c q and row b p + d q. Source: ISO/IEC 14496-12, 8.3.2.3; FFmpeg's
            libavutil/display.h.
    """
    a, b, c, d = (int(matrix[index]) for index in (0, 1, 3, 4))
    column, row = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, column, row = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if row < 0 else 1, :: -1 if column < 0 else 1]
