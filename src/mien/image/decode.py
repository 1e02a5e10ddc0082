"""From the bytes of an image file to an RgbImage."""

import re
import struct
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import SUPPORTED as AVIF_SUPPORTED
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mien.errors import (
    EmptyUploadError,
    ImageTooLargeError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from mien.image.arrays import eight_bits
from mien.image.exif import orientation_of
from mien.image.formats import sniff
from mien.image.jpeg import last_scan_is_complete
from mien.image.pixels import check_size, reduction_factor, to_rgb_image
from mien.image.strip import strip_metadata
from mien.types import RgbImage

__all__ = ["DECODER_ERRORS", "decode_image"]

# What Pillow and its decoders raise on data that is cut off or corrupt.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
)


def _open_avif(file: BytesIO) -> ImageFile:
    if not AVIF_SUPPORTED:
        raise UnsupportedFormatError(
            "AVIF is not supported by this build of Pillow; install Pillow from PyPI, "
            "or convert the image to JPEG or PNG"
        )
    try:
        return AvifImageFile(file)
    except DECODER_ERRORS as error:
        # libavif gives the same error for an image that is too large and for a damaged file.
        sizes = _AVIF_SIZE.findall(file.getvalue())
        if any(int.from_bytes(w) * int.from_bytes(h) > _AVIF_PIXELS for w, h in sizes):
            raise Image.DecompressionBombError from error
        raise


def _open_heic(file: BytesIO) -> ImageFile:
    try:
        from pillow_heif.as_plugin import HeifImageFile  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UnsupportedFormatError(
            "HEIC needs the package pillow-heif; install it with: pip install 'mien[heic]', "
            "or convert the image to JPEG or PNG"
        ) from error
    image: ImageFile = HeifImageFile(file)
    return image


# The classes themselves instead of Image.open: that one compares the size with a limit that is
# global to the process, warns through Python's global warning filters, and passes JPEGs with
# several frames, as phones write them, to another class.
_OPENERS: Mapping[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "AVIF": _open_avif,
    "HEIC": _open_heic,
}

# Pillow reads the high bytes of 16-bit color. This is how to read the low bytes: the raw mode, and
# which of its channels they are in.
_PNG_LOW_BYTES = {
    "RGB;16B": ("RGB;16L", [0, 1, 2]),
    "RGBA;16B": ("RGBA;16L", [0, 1, 2, 3]),
    "LA;16B": ("RGBA", [1, 1, 1, 3]),
}
# Sizes of the images in an AVIF file. Source: ISO/IEC 23008-12, 6.5.3.
_AVIF_SIZE = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
# libavif's AVIF_DEFAULT_IMAGE_SIZE_LIMIT.
_AVIF_PIXELS = 16_384**2
_HIGHEST_BYTE_OF_14_BITS = 0x3F


def decode_image(data: bytes, *, max_pixels: int, enough_pixels: int | None = None) -> RgbImage:
    """Decode an image file. Thread-safe.

    The content decides the format. The first frame of an animation is decoded, EXIF orientation is
    applied, transparency is blended onto white, and 16 bits become 8.

    Args:
        data: A JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP file.
        max_pixels: Larger images are refused before a pixel is decoded.
        enough_pixels: Divide width and height by 8, 4 or 2 if this many pixels remain; the
            RgbImage then has a ``stored_size``. None keeps all pixels.

    Raises:
        EmptyUploadError: No bytes.
        NotAnImageError: Not an image.
        UnsupportedFormatError: An image in a format that is not supported or not installed.
        ImageTooLargeError: More pixels than ``max_pixels``.
        TruncatedImageError: The data is cut off or corrupt.
    """
    if not data:
        raise EmptyUploadError("the image is empty: it has no bytes")
    file = strip_metadata(sniff(data), data)
    if file.size is not None:
        check_size(file.size, max_pixels)
    try:
        with _OPENERS[file.format](BytesIO(file.data)) as image:
            size = image.size
            check_size(size, max_pixels)
            if file.end_missing and not last_scan_is_complete(file.data):
                raise ValueError("the last scan is cut off")
            factor = reduction_factor(size, enough_pixels)
            if factor > 1 and file.format == "JPEG":
                image.draft(None, (size[0] // factor, size[1] // factor))
            return to_rgb_image(
                _with_low_bytes(image, file.data),
                orientation=orientation_of(file.exif or image.info.get("exif")),
                size=size,
                factor=factor,
            )
    except Image.DecompressionBombError as error:
        # The decoders of WebP and AVIF have limits of their own, which may be lower.
        raise ImageTooLargeError("the image has more pixels than can be decoded") from error
    except DECODER_ERRORS as error:
        raise TruncatedImageError(f"this {file.format} image is cut off or corrupt") from error


def _with_low_bytes(image: ImageFile, data: bytes) -> Image.Image:
    """Return a PNG of 16-bit color, whose data uses fewer bits, scaled to their range."""
    raw_mode = image.tile[0].args if image.tile else None
    if not isinstance(raw_mode, str) or raw_mode not in _PNG_LOW_BYTES:
        return image
    image.load()
    high = np.asarray(image)
    if high[:, :, :3].max() > _HIGHEST_BYTE_OF_14_BITS or "transparency" in image.info:
        return image
    low_mode, channels = _PNG_LOW_BYTES[raw_mode]
    with PngImageFile(BytesIO(data)) as second:
        second.tile = [second.tile[0]._replace(args=low_mode)]
        low = np.asarray(second)[:, :, channels]
    return Image.fromarray(eight_bits(high.astype(np.uint16) << 8 | low))
