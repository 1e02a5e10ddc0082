"""The only decoder: an image of any kind in, an upright RgbImage out."""

from mien.image.decode import decode_image
from mien.image.load import ImageInput, load_image

__all__ = ["ImageInput", "decode_image", "load_image"]
