"""From a NumPy array to an RgbImage."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import InvalidParameterError
from mien.image.pixels import check_size, reduction_factor, to_eight_bits, to_rgb_image
from mien.types import RgbImage

__all__ = ["eight_bits", "from_array"]

_EXPECTED = (
    "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, of uint16, "
    "or of floats from 0 to 1"
)
# Pillow's names for the channels in memory.
_BGR_RAW_MODES = {"RGB": "BGR", "RGBA": "BGRA"}
# Interpolation overshoots by rounding errors.
_ROUNDING = 1e-6
# Rows converted at once, so that floats of a large image do not take memory many times over.
_ROWS = 256


def from_array(
    array: NDArray[Any], *, bgr: bool, max_pixels: int, enough_pixels: int | None
) -> RgbImage:
    """Convert a grey, RGB or RGBA array; an RGB array of uint8 is not copied.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). Integers of 16 bits are scaled by
            ``to_eight_bits``, colors and alpha separately.
        bgr: The color channels are in the order blue, green, red.
        max_pixels: Larger arrays are refused.
        enough_pixels: See ``reduction_factor``.

    Raises:
        InvalidParameterError: Another shape, dtype or range.
        ImageTooLargeError: More pixels than ``max_pixels``.
    """
    _check_shape(array)
    height, width = array.shape[:2]
    check_size((width, height), max_pixels)
    pixels = np.ascontiguousarray(eight_bits(array))
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    factor = reduction_factor((width, height), enough_pixels)
    if channels == 3 and factor == 1 and not bgr:
        return RgbImage(pixels)
    if channels == 1:
        image = Image.fromarray(pixels.reshape(height, width))
    else:
        mode = "RGB" if channels == 3 else "RGBA"
        raw_mode = _BGR_RAW_MODES[mode] if bgr else mode
        image = Image.frombuffer(mode, (width, height), pixels, "raw", raw_mode, 0, 1)
    return to_rgb_image(image, orientation=1, size=image.size, factor=factor)


def _check_shape(array: NDArray[Any]) -> None:
    hint = ""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        hint = "; move the channels last with array.transpose(1, 2, 0)"
    elif array.ndim == 4:
        hint = "; pass one image of the batch at a time"
    good_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not good_shape or 0 in array.shape:
        raise InvalidParameterError(f"got {_described(array)}; {_EXPECTED}{hint}")


def _described(array: NDArray[Any]) -> str:
    return f"an array of shape {array.shape} and dtype {array.dtype}"


def eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert samples of a dtype that ``from_array`` accepts to uint8."""
    kind, item_bytes = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and item_bytes == 1:
        return np.asarray(array)
    if kind == "u" and item_bytes == 2:
        if array.ndim == 3 and array.shape[2] == 4:
            colors, alpha = to_eight_bits(array[:, :, :3]), to_eight_bits(array[:, :, 3:])
            return np.concatenate([colors, alpha], axis=2)
        return to_eight_bits(array)
    if kind == "f":
        return _floats_to_eight_bits(array)
    hint = "a mask is not an image" if kind == "b" else "convert with array.astype(numpy.uint8)"
    raise InvalidParameterError(f"got {_described(array)}; {_EXPECTED}; {hint}")


def _floats_to_eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(np.min(array)), float(np.max(array))
    # Written so that NaN is also refused.
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise InvalidParameterError(
            f"got {_described(array)} with values from {low:g} to {high:g}; {_EXPECTED}"
        )
    pixels = np.empty(array.shape, np.uint8)
    for top in range(0, len(array), _ROWS):
        rows = array[top : top + _ROWS].astype(np.float32).clip(0, 1)
        pixels[top : top + _ROWS] = np.rint(rows * 255)
    return pixels
