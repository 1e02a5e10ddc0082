"""The only decoder: an image of any kind in, an upright RgbImage out."""

from mien.image.decode import decode_image
from mien.image.load import BinaryReader, ImageInput, check_channels, load_image

__all__ = ["BinaryReader", "ImageInput", "check_channels", "decode_image", "load_image"]
