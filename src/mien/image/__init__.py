"""Any kind of picture in, an upright RgbImage out: the only decoder."""

import os
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mien.errors import (
    EmptyUploadError,
    ImageError,
    ImageTooLargeError,
    InvalidParameterError,
    TruncatedImageError,
    UnreadableFileError,
)
from mien.image.container import SNIFF_BYTES, distil, orientation, sniff
from mien.image.pixels import to_rgb
from mien.types import RgbImage

__all__ = ["Picture", "decode_image", "load_image"]

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | RgbImage

# The classes themselves instead of Image.open: that one compares the size with a limit that is
# global to the process, warns through Python's global warning filters, and would hand phones'
# JPEGs with several frames to another reader.
_READERS: Mapping[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
}

# EXIF orientations from here on turn a picture on its side.
_FIRST_TO_SWAP_SIDES = 5

# What Pillow raises on data that is cut off or corrupt, by reader and kind of damage.
_DAMAGE = (
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


def decode_image(data: bytes, *, max_pixels: int, enough_pixels: int | None = None) -> RgbImage:
    """Return the upright picture of a JPEG, PNG or WebP file; of an animation, the first frame.

    The content decides, never a name. Transparency is laid on white, 16 bits become 8. Thread-safe.
    max_pixels: width times height above which the picture is refused from its header.
    enough_pixels: a JPEG that has these many also at a half, a quarter or an eighth of its size may
    be decoded so, which is faster; then the image has a ``stored_size``.
    Raises EmptyUploadError, NotAnImageError, UnsupportedFormatError, ImageTooLargeError or
    TruncatedImageError.
    """
    if not data:
        raise EmptyUploadError("the picture is empty: it has no bytes")
    essence = distil(sniff(data), data)
    # WebP's reader allocates the whole canvas on opening, so its size is known before.
    if essence.size is not None:
        _check_size(essence.size, max_pixels)
    try:
        with _READERS[essence.format](BytesIO(essence.data)) as picture:
            _check_size(picture.size, max_pixels)
            turn = orientation(essence.exif or picture.info.get("exif"))
            size = picture.size[::-1] if turn >= _FIRST_TO_SWAP_SIDES else picture.size
            reduced = enough_pixels is not None and _reduce(picture, enough_pixels)
            return RgbImage(to_rgb(picture, turn), size if reduced else None)
    except Image.DecompressionBombError as error:
        # The WebP reader's own limit, should ours be set higher.
        raise ImageTooLargeError("the picture has more pixels than can be read") from error
    except _DAMAGE as error:
        raise TruncatedImageError(f"this {essence.format} picture is cut off or corrupt") from error


def _reduce(picture: ImageFile, enough_pixels: int) -> bool:
    """Have a JPEG decoded as small as is enough; return whether that is smaller than it is."""
    width, height = picture.size
    for factor in (8, 4, 2):
        if (width // factor) * (height // factor) >= enough_pixels:
            return picture.draft(None, (width // factor, height // factor)) is not None
    return False


def load_image(picture: Picture, *, max_pixels: int, enough_pixels: int | None = None) -> RgbImage:
    """Return the upright picture of a path, bytes, PIL image or (H, W, 3) uint8 RGB array.

    Limits as for ``decode_image``. A PIL image may have any mode; its EXIF orientation is applied.
    Arrays, and PIL images that are upright and RGB, are not copied.
    Raises an ImageError as ``decode_image`` does, UnreadableFileError for a path that can't be
    read, and InvalidParameterError for anything that is not a picture.
    """
    match picture:
        case str() | os.PathLike():
            return _from_path(Path(picture), max_pixels, enough_pixels)
        case bytes() | bytearray() | memoryview():
            return decode_image(bytes(picture), max_pixels=max_pixels, enough_pixels=enough_pixels)
        case Image.Image():
            return _from_pillow(picture, max_pixels)
        case np.ndarray():
            return _from_array(picture, max_pixels)
        case RgbImage():
            _check_size((picture.width, picture.height), max_pixels)
            return picture
    raise InvalidParameterError(
        "expected a path, bytes, a PIL image or an (H, W, 3) uint8 array, "
        f"got {type(picture).__name__}"
    )


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    width, height = size_wh
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{width} x {height} pixels are more than the limit of {max_pixels:,}"
        )


def _from_path(path: Path, max_pixels: int, enough_pixels: int | None) -> RgbImage:
    try:
        data = _read(path)
        return decode_image(data, max_pixels=max_pixels, enough_pixels=enough_pixels)
    except ImageError as error:
        error.path = path
        raise


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _read_if_picture(file)
    except FileNotFoundError as error:
        raise UnreadableFileError("there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableFileError("this is a folder; name the photos in it") from error
    except PermissionError as error:
        # Windows says the same of folders.
        reason = "this is a folder; name the photos in it" if path.is_dir() else "no permission"
        raise UnreadableFileError(reason) from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError("the file can't be read") from error


def _read_if_picture(file: BinaryIO) -> bytes:
    """Return the file's bytes; a large file that is no picture is refused from its start."""
    start = file.read(SNIFF_BYTES)
    if start:
        sniff(start)
    return start + file.read()


def _from_pillow(picture: Image.Image, max_pixels: int) -> RgbImage:
    _check_size(picture.size, max_pixels)
    if 0 in picture.size:
        raise InvalidParameterError("the PIL image has no pixels")
    try:
        # Formats that nobody sends here are not refused: the caller has opened them already.
        return RgbImage(to_rgb(picture, orientation(picture.info.get("exif"))))
    except _DAMAGE as error:
        raise TruncatedImageError("the picture is cut off or corrupt") from error


def _from_array(array: NDArray[np.generic], max_pixels: int) -> RgbImage:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InvalidParameterError(
            f"expected an (H, W, 3) uint8 RGB array, got {array.shape} {array.dtype}"
        )
    _check_size((array.shape[1], array.shape[0]), max_pixels)
    return RgbImage(np.ascontiguousarray(array, dtype=np.uint8))
