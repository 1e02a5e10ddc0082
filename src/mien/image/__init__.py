"""The only decoder: an image of any kind in, an upright RgbImage out."""

from mien.image.decode import decode_image
from mien.image.load import BinaryReader, ImageInput, check_channels, detached, load_image

__all__ = [
    "BinaryReader",
    "ImageInput",
    "check_channels",
    "decode_image",
    "detached",
    "load_image",
]
