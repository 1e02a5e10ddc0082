"""From a PIL image of any mode to an upright RgbImage with as many pixels as needed."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ImageTooLargeError, InvalidParameterError
from mien.image.exif import ROTATED_ORIENTATIONS
from mien.types import RgbImage

__all__ = ["check_size", "reduction_factor", "to_eight_bits", "to_rgb_image"]

_WHITE = (255, 255, 255)

# Bits per sample of cameras and scanners that write 16-bit files.
_SAMPLE_BITS = (8, 10, 12, 14, 16)

# The factors that a JPEG decoder offers, and so the factors of all inputs.
_REDUCTION_FACTORS = (8, 4, 2)

# The operation that turns a stored image upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raise ImageTooLargeError if an image of this (width, height) has more pixels than allowed."""
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{width} x {height} pixels are more than the limit of {max_pixels:,}; "
            "reduce the image or raise max_pixels"
        )


def reduction_factor(size: tuple[int, int], enough_pixels: int | None) -> int:
    """Return the factor, 1, 2, 4 or 8, that width and height are divided by before analysis.

    The factor depends on the size of the image alone, so that an image gives the same result in
    every form.

    Args:
        size: (width, height) of the stored image.
        enough_pixels: Number of pixels to keep at least; None keeps all.
    """
    width, height = size
    if enough_pixels is not None:
        for factor in _REDUCTION_FACTORS:
            if (width // factor) * (height // factor) >= max(enough_pixels, 1):
                return factor
    return 1


def to_rgb_image(
    image: Image.Image, *, orientation: int, size: tuple[int, int], factor: int
) -> RgbImage:
    """Load a PIL image and convert it to an upright, reduced RgbImage.

    Args:
        image: Any mode; not changed, except that its pixels are loaded.
        orientation: EXIF orientation, 1 to 8.
        size: (width, height) as stored. A JPEG decoder may have reduced the image already.
        factor: What ``reduction_factor`` returns for the size.

    Raises:
        ValueError: The mode cannot be converted to RGB. Pillow raises other errors where it meets
            corrupt data.
    """
    image.load()
    rgb = _to_rgb(image)
    if factor > 1 and rgb.size == size:
        rgb = rgb.reduce(factor)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    upright_size = size[::-1] if orientation in ROTATED_ORIENTATIONS else size
    return RgbImage(rgb, upright_size if factor > 1 else None)


def to_eight_bits(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale unsigned samples of up to 16 bits to 8.

    Cameras write 10, 12 or 14 bits into 16-bit files without scaling them. The smallest of 8, 10,
    12, 14 and 16 bits that holds the largest sample is taken as the range of the data.
    """
    largest = int(np.max(samples))
    bits = next(bits for bits in _SAMPLE_BITS if largest < 1 << bits)
    return (samples.astype(np.uint16, copy=False) >> (bits - 8)).astype(np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _integers_to_grey(image)
    elif image.mode == "F":
        image = _floats_to_grey(image)
    elif image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _integers_to_grey(image: Image.Image) -> Image.Image:
    """Convert 16-bit and 32-bit integers to mode L; values outside 16 bits are clipped."""
    wide = np.asarray(image).clip(0, 65535)
    grey = to_eight_bits(wide)
    # A PNG without an alpha channel may declare one value transparent.
    grey[wide == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _floats_to_grey(image: Image.Image) -> Image.Image:
    """Convert mode F to L: white is 1 if no value is larger than 1, otherwise 255."""
    values = np.asarray(image)
    largest = float(np.max(values))
    if not np.isfinite(largest):
        raise InvalidParameterError("the PIL image of mode F has values that are not finite")
    scale = 255.0 if largest <= 1 else 1.0
    return Image.fromarray(np.rint(values * scale).clip(0, 255).astype(np.uint8))


def _on_white(rgba: Image.Image) -> Image.Image:
    page = Image.new("RGB", rgba.size, _WHITE)
    page.paste(rgba, mask=rgba)
    return page
