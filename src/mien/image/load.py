"""Load an image in any form that users pass."""

import os
import re
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from mien.errors import (
    ImageError,
    InvalidParameterError,
    TruncatedImageError,
    UnreadableFileError,
)
from mien.files import open_no_wait
from mien.image.arrays import from_array
from mien.image.decode import DECODER_ERRORS, decode_image
from mien.image.exif import orientation_of
from mien.image.formats import SNIFF_BYTES, sniff
from mien.image.pixels import check_size, reduction_factor, to_rgb_image
from mien.types import RgbImage

__all__ = [
    "BinaryReader",
    "ImageInput",
    "check_channels",
    "detached",
    "load_image",
    "read_image_file",
]


@runtime_checkable
class BinaryReader(Protocol):
    """A file object: its ``read()`` returns bytes."""

    def read(self) -> bytes: ...


# Pillow decodes an image at its first use, and threads may share the image.
_DECODING = Lock()
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")

ImageInput = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryReader
    | Image.Image
    | NDArray[Any]
    | RgbImage
)


def load_image(
    image: ImageInput,
    *,
    max_pixels: int,
    enough_pixels: int | None = None,
    channels: str = "rgb",
) -> RgbImage:
    """Load an image of any kind as upright RGB.

    The size of the result depends on the size of the image and on ``enough_pixels``, never on how
    the image is passed: JPEGs are reduced while they are decoded, all others by the mean of square
    blocks of pixels.

    Args:
        image: A path; the bytes of a file; a binary file object, read from its start if it can
            seek; a PIL image of any mode, whose EXIF orientation is applied; or an array as
            ``from_array`` takes it. An array or PIL image that is not converted or reduced is not
            copied.
        max_pixels: Larger images are refused before decoding.
        enough_pixels: Divide width and height by 8, 4 or 2 if this many pixels remain; the
            RgbImage then has a ``stored_size``. None keeps all pixels.
        channels: The order of the color channels of an array: ``rgb`` or ``bgr``.

    Raises:
        ImageError: See ``decode_image``; with the path, if there is one.
        UnreadableFileError: The path or file object cannot be read.
        InvalidParameterError: Not an image, or ``channels`` does not fit it.
    """
    check_channels(channels)
    if channels == "bgr" and not isinstance(image, np.ndarray):
        raise InvalidParameterError(
            f"channels='bgr' is for arrays, got {type(image).__name__}; leave channels out"
        )
    match image:
        case str() if _URL.match(image):
            raise _not_downloaded(image)
        case str() if not image:
            raise InvalidParameterError("the path is empty")
        case str() | os.PathLike():
            return _from_path(Path(os.fsdecode(image)), max_pixels, enough_pixels)
        case bytes() | bytearray() | memoryview():
            return decode_image(bytes(image), max_pixels=max_pixels, enough_pixels=enough_pixels)
        case Image.Image():
            return _from_pil(image, max_pixels, enough_pixels)
        case np.ndarray():
            return from_array(
                image, bgr=channels == "bgr", max_pixels=max_pixels, enough_pixels=enough_pixels
            )
        case RgbImage():
            return _from_rgb_image(image, max_pixels, enough_pixels)
        case BinaryReader():
            data = _read_file_object(image)
            return decode_image(data, max_pixels=max_pixels, enough_pixels=enough_pixels)
    raise InvalidParameterError(
        "expected a path, bytes, a binary file object, a PIL image or a NumPy array, "
        f"got {type(image).__name__}"
    )


def detached(image: ImageInput, *, max_pixels: int) -> ImageInput:
    """Return an image that is independent of the file object of a PIL image.

    The frames of an animation are one PIL image: its next frame replaces the pixels of this one.
    An image that ``load_image`` would refuse is returned as it is.
    """
    if not isinstance(image, ImageFile):
        return image
    try:
        check_size(image.size, max_pixels)
        with _DECODING:
            return _undecoded_jpeg(image) or image.copy()
    except (ImageError, *DECODER_ERRORS):
        return image


def check_channels(channels: str) -> None:
    """Raise InvalidParameterError unless it is a known order of color channels."""
    if channels not in ("rgb", "bgr"):
        raise InvalidParameterError(f"channels must be 'rgb' or 'bgr', got {channels!r}")


def _not_downloaded(url: str) -> UnreadableFileError:
    error = UnreadableFileError(
        "images are not downloaded from URLs; pass the path or the bytes of the image"
    )
    error.path = url
    return error


def _from_path(path: Path, max_pixels: int, enough_pixels: int | None) -> RgbImage:
    try:
        data = read_image_file(path)
        return decode_image(data, max_pixels=max_pixels, enough_pixels=enough_pixels)
    except ImageError as error:
        error.path = path
        raise


def read_image_file(path: Path) -> bytes:
    """Return the bytes of a file; of a large one that is not an image, only its start is read.

    Raises:
        ImageError: It cannot be read, or is not an image.
    """
    try:
        with open_no_wait(path) as file:
            start = file.read(SNIFF_BYTES)
            if start:
                sniff(start)
            return start + file.read()
    except OSError as error:
        raise UnreadableFileError("the file can't be read") from error


def _read_file_object(file: BinaryReader) -> bytes:
    # Like Pillow: a buffer that has just been written does not have to be rewound.
    rewindable = getattr(file, "seekable", bool)
    try:
        if rewindable():
            file.seek(0)  # type: ignore[attr-defined]
        data: object = file.read()
    except Exception as error:  # zipfile, gzip and others have errors of their own
        raise UnreadableFileError("the file object can't be read") from error
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise InvalidParameterError(
        f"read() of {type(file).__name__} returned {type(data).__name__}, expected bytes; "
        "open files in binary mode ('rb')"
    )


def _from_pil(image: Image.Image, max_pixels: int, enough_pixels: int | None) -> RgbImage:
    size = image.size
    check_size(size, max_pixels)
    if 0 in size:
        raise InvalidParameterError(f"the PIL image has no pixels: its size is {size}")
    factor = reduction_factor(size, enough_pixels)
    orientation = orientation_of(image.info.get("exif"))
    try:
        with _DECODING:
            data = _undecoded_jpeg(image)
            if data is None:
                image.load()
        if data is not None:
            return decode_image(data, max_pixels=max_pixels, enough_pixels=enough_pixels)
        return to_rgb_image(image, orientation=orientation, size=size, factor=factor)
    except DECODER_ERRORS as error:
        raise TruncatedImageError("the PIL image is closed, cut off or corrupt") from error


def _undecoded_jpeg(image: Image.Image) -> bytes | None:
    """Return the file of a JPEG that Pillow has opened but not decoded; None for other images.

    The result is then exactly that of the file. The mean of blocks differs from reduced decoding by
    rounding, which may affect a face at the limit of detection.
    """
    if not isinstance(image, JpegImageFile) or image.fp is None or image.tell() != 0:
        return None
    if not image.tile or image.decoderconfig:
        return None
    position = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(position)
    return data


def _from_rgb_image(image: RgbImage, max_pixels: int, enough_pixels: int | None) -> RgbImage:
    size = image.width, image.height
    check_size(size, max_pixels)
    factor = reduction_factor(size, enough_pixels)
    if image.stored_size is not None or factor == 1:
        return image
    return to_rgb_image(image.picture, orientation=1, size=size, factor=factor)
