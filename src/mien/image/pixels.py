"""From a PIL image of any mode to an upright one of mode RGB."""

import numpy as np
from PIL import Image

__all__ = ["to_rgb"]

_WHITE = (255, 255, 255)

# What turns the stored picture upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(picture: Image.Image, orientation: int) -> Image.Image:
    """Return an upright picture of mode RGB, all of it read.

    orientation: the EXIF value, 1 to 8. Raises ValueError for a mode that has no way to RGB, and
    whatever Pillow raises where it meets damage.
    """
    picture.load()
    rgb = _rgb(picture)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    elif picture.mode == "La":
        picture = picture.convert("LA")
    elif picture.mode == "F":
        picture = picture.convert("L")
    if picture.has_transparency_data:
        return _on_white(picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return mode L: the high byte of 16 bits; 32-bit integers count as 16 or 8 bits by value."""
    wide = np.asarray(picture)
    if picture.mode == "I":
        wide = wide.clip(0, 65535)
        if wide.max() <= 255:
            return Image.fromarray(wide.astype(np.uint8))
    narrow = (wide >> 8).astype(np.uint8)
    # A PNG without an alpha channel may call one value transparent.
    narrow[wide == picture.info.get("transparency", -1)] = 255
    return Image.fromarray(narrow)


def _on_white(rgba: Image.Image) -> Image.Image:
    page = Image.new("RGB", rgba.size, _WHITE)
    page.paste(rgba, mask=rgba)
    return page
