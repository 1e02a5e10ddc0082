"""Remove metadata from image files, and check their headers, before decoding.

Comments, color profiles and thumbnails are removed from JPEG, PNG and GIF files before a decoder
reads them. A compressed text chunk therefore cannot expand, and a broken tag cannot make a valid
image fail. WebP, BMP, AVIF and HEIC files go to the decoder unchanged.
"""

import struct
from dataclasses import dataclass

from mien.errors import TruncatedImageError, UnsupportedFormatError
from mien.image.formats import PNG_SIGNATURE
from mien.image.jpeg import strip_jpeg

__all__ = ["StrippedFile", "strip_metadata"]

_PNG_ESSENTIAL = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}

_GIF_HAS_PALETTE, _GIF_HAS_TRANSPARENCY = 0x80, 0x01
# Extensions before the first frame hold kilobytes, in sub-blocks of up to 255 bytes. Millions of
# one-byte sub-blocks would take seconds.
_GIF_MAX_SUB_BLOCKS = 100_000

_BMP_UNCOMPRESSED = {0, 3}


@dataclass(frozen=True, slots=True)
class StrippedFile:
    """An image file without metadata.

    Attributes:
        format: As ``sniff`` names it.
        data: The bytes for the decoder.
        exif: The EXIF block, where ``data`` no longer has it.
        size: (width, height), where it must be checked before the decoder opens the file.
        end_missing: The end marker of a JPEG was missing and has been added; its last scan may be
            cut off.
    """

    format: str
    data: bytes
    exif: bytes | None = None
    size: tuple[int, int] | None = None
    end_missing: bool = False


def strip_metadata(format_: str, data: bytes) -> StrippedFile:
    """Return the file without metadata; JPEG and GIF keep what follows the first frame.

    Raises:
        TruncatedImageError: The file ends or breaks before its pixels.
        UnsupportedFormatError: A variant of the format that is not supported.
        ImageTooLargeError: A JPEG with too many scans of too many pixels.
    """
    match format_:
        case "JPEG":
            data, exif, end_missing = strip_jpeg(data)
            return StrippedFile("JPEG", data, exif, end_missing=end_missing)
        case "PNG":
            return _strip_png(data)
        case "GIF":
            return _strip_gif(data)
        case "BMP":
            _check_bmp_compression(data)
        case "WebP":
            # The WebP decoder allocates the whole canvas when it opens a file.
            return StrippedFile(format_, data, size=_webp_size(data))
    return StrippedFile(format_, data)


def _strip_png(data: bytes) -> StrippedFile:
    kept, exif, position = [PNG_SIGNATURE], None, len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if name in _PNG_ESSENTIAL:
            kept.append(data[position:end])
        elif name == b"eXIf" and exif is None:
            exif = data[position + 8 : end - 4]
        if name == b"IEND":
            break
        position = end
    return StrippedFile("PNG", b"".join(kept), exif)


def _strip_gif(data: bytes) -> StrippedFile:
    """Return a GIF without extensions, except for the transparency of its first frame.

    A frame may be larger than the canvas, and its disposal method makes Pillow allocate the frame
    when it opens the file: so both are read here. Source: GIF89a specification, 17 to 23.
    """
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    position = 13 + (_gif_palette_bytes(flags))
    header, control, blocks = data[:position], b"", _GIF_MAX_SUB_BLOCKS
    while data[position : position + 1] == b"!":
        label, body = data[position + 1 : position + 2], data[position + 2 : position + 7]
        if label == b"\xf9" and len(body) == 5 and body[0] >= 4:
            flags = body[1] & _GIF_HAS_TRANSPARENCY
            control = b"!\xf9\x04" + bytes([flags]) + body[2:] + b"\0"
        position, blocks = _end_of_gif_extension(data, position + 2, blocks)
    frame = data[position : position + 10]
    if frame[:1] != b"," or len(frame) < 10:
        raise TruncatedImageError("this GIF image ends before its pixels")
    left, top, frame_width, frame_height = struct.unpack_from("<4H", frame, 1)
    size = max(width, left + frame_width), max(height, top + frame_height)
    return StrippedFile("GIF", header + control + data[position:], size=size)


def _gif_palette_bytes(flags: int) -> int:
    return 6 << (flags & 7) if flags & _GIF_HAS_PALETTE else 0


def _end_of_gif_extension(data: bytes, position: int, blocks: int) -> tuple[int, int]:
    """Return the position after an extension, and how many blocks may follow of ``blocks``."""
    for left in range(blocks - 1, -1, -1):
        length = data[position] if position < len(data) else 0
        position += 1 + length
        if length == 0:
            return position, left
    raise TruncatedImageError("this GIF image is corrupt: its extensions have too many blocks")


def _check_bmp_compression(data: bytes) -> None:
    """Refuse compressed BMP: Pillow decodes run lengths in Python, at seconds per file."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    compression = int.from_bytes(data[30:34], "little") if header_bytes >= 40 else 0
    if compression not in _BMP_UNCOMPRESSED:
        raise UnsupportedFormatError("compressed BMP is not supported; convert it to JPEG or PNG")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of a WebP file's canvas.

    Source: WebP Container Specification; RFC 6386, 9.1; WebP Lossless Bitstream, 4.
    """
    kind, body = data[12:16], data[20:30]
    if len(body) == 10:
        if kind == b"VP8X":
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:], "little")
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            return width & 0x3FFF, height & 0x3FFF
        if kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise TruncatedImageError("this WebP image ends before its pixels")
