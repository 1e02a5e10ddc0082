"""What can be told from a file's bytes without decoding: its format, the parts that matter.

Everything a JPEG or PNG can do without is left out before a decoder sees it: comments, colour
profiles, thumbnails, further frames. So a compressed text chunk can't grow, a broken tag can't
fail a sound picture, and an animation is its first frame. A WebP is handed on as it is.
"""

import re
import struct
from dataclasses import dataclass

from mien.errors import (
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    UnsupportedFormatError,
)

__all__ = ["SNIFF_BYTES", "Essence", "distil", "orientation", "sniff"]

# As much of the start of a file as ``sniff`` looks at.
SNIFF_BYTES = 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_READ = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(re.escape(_PNG_SIGNATURE))),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
)
_KNOWN = (
    ("GIF", re.compile(rb"GIF8[79]a")),
    # "BM" alone begins many a text: so the reserved bytes and the size of the second header too.
    ("BMP", re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("AVIF", re.compile(rb".{4}ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(he[iv][cmsx]|mif1|msf1)", re.DOTALL)),
    ("ICO", re.compile(rb"\0\0[\x01\x02]\0[^\0]\0")),
    ("PSD", re.compile(rb"8BPS")),
    ("JPEG 2000", re.compile(rb"\0{3}\x0cjP {2}|\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0{3}\x0cJXL ")),
    ("PNM", re.compile(rb"P[1-7]\s")),
    ("OpenEXR", re.compile(rb"v/1\x01")),
    ("SVG", re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{,900}?)?<svg[\s>]", re.DOTALL)),
)

# JPEG segments that change the pixels; APP0 (JFIF) and APP14 (Adobe) tell the colour space.
_JPEG_APP0, _JPEG_APP1, _JPEG_APP14, _JPEG_APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_JPEG_COMMENT, _JPEG_SCAN, _JPEG_END = 0xFE, 0xDA, 0xD9
_JPEG_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# Photos have tens of them, in odd cases hundreds. Millions of empty ones would take seconds.
_JPEG_MAX_SEGMENTS = 10_000
# Each scan of a progressive JPEG is a pass over all pixels. Encoders write about ten; thousands
# of empty ones in a small file would keep a core busy for hours.
_JPEG_MAX_SCANS = 64
# Of a large picture 60 took 2 to 19 seconds, during which nobody looks whether the answer is still
# wanted. So only so many pixels in all scans, as 20 of 50 megapixels; 16, more than
# encoders write, are left to any size.
_JPEG_SCANNED_PIXELS, _JPEG_USUAL_SCANS = 1_000_000_000, 16
# Inside a scan 0xFF is followed by a stuffed zero or is a restart.
_JPEG_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_PNG_ESSENTIAL = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}

_EXIF_ORIENTATION = 0x0112
_EXIF_INTEGERS = {1: "B", 3: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Essence:
    """A file without what its pixels don't need.

    format: ``JPEG``, ``PNG`` or ``WebP``; exif: its block where ``data`` no longer has it;
    size: (width, height) where the file's start tells it, None where the decoder must.
    """

    format: str
    data: bytes
    exif: bytes | None = None
    size: tuple[int, int] | None = None


def sniff(data: bytes) -> str:
    """Return ``JPEG``, ``PNG`` or ``WebP``, judged by the first bytes.

    Raises UnsupportedFormatError for other kinds of pictures, NotAnImageError for the rest.
    """
    start = data[:SNIFF_BYTES]
    for name, pattern in _READ:
        if pattern.match(start):
            return name
    for name, pattern in _KNOWN:
        if pattern.match(start):
            raise UnsupportedFormatError(f"{name} is not read; send JPEG, PNG or WebP")
    raise NotAnImageError("this is not a picture; send JPEG, PNG or WebP")


def distil(kind: str, data: bytes) -> Essence:
    """Return what matters of a file of the given kind.

    Raises TruncatedImageError if it ends or breaks before its pixels, UnsupportedFormatError for
    more than 8 bits in a JPEG, ImageTooLargeError for too many scans of too many pixels.
    """
    if kind == "JPEG":
        return _distil_jpeg(data)
    if kind == "PNG":
        return _distil_png(data)
    return Essence(kind, data, size=_webp_size(data))


def orientation(exif: object) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where it is missing or broken.

    exif: the block's bytes, with or without its ``Exif`` prefix.
    Source: CIPA DC-008 (Exif 2.32), 4.6.
    """
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _EXIF_ORIENTATION:
                letter = _EXIF_INTEGERS.get(kind, "H")
                (value,) = struct.unpack_from(f"{order}{letter}", tiff, entry + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _distil_jpeg(data: bytes) -> Essence:
    kept, exif, position, pixels = [data[:2]], None, 2, 1
    for _ in range(_JPEG_MAX_SEGMENTS):
        # Fill bytes and stray ones between segments are legal, or at least common.
        position = data.find(b"\xff", position)
        marker = data[position + 1] if 0 <= position < len(data) - 1 else _JPEG_END
        if marker == _JPEG_SCAN:
            _check_scans(data, position, pixels)
            return Essence("JPEG", b"".join([*kept, data[position:]]), exif)
        if marker == 0xFF:
            position += 1
            continue
        if marker in _JPEG_WITHOUT_LENGTH:
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if marker == _JPEG_END or not position + 4 <= end <= len(data):
            break
        segment = data[position:end]
        if marker in _JPEG_FRAMES:
            pixels = int.from_bytes(segment[5:7]) * int.from_bytes(segment[7:9]) or 1
        if marker == _JPEG_APP1 and exif is None and segment[4:10] == b"Exif\0\0":
            exif = segment[4:]
        if _shapes_pixels(marker, segment):
            kept.append(segment)
        position = end
    raise TruncatedImageError("this JPEG picture ends before its pixels")


def _check_scans(data: bytes, position: int, pixels: int) -> None:
    at_most = max(_JPEG_SCANNED_PIXELS // pixels, _JPEG_USUAL_SCANS)
    scans = 0
    for _ in range(_JPEG_MAX_SEGMENTS):
        match = _JPEG_MARKER_IN_SCAN.search(data, position)
        if match is None or match[0][1] == _JPEG_END:
            return
        scans += match[0][1] == _JPEG_SCAN
        if scans > _JPEG_MAX_SCANS:
            break
        if scans > at_most:
            raise ImageTooLargeError(
                f"this JPEG picture of {pixels:,} pixels has more than {at_most} scans; "
                "save it with fewer, or smaller"
            )
        # A decoder reads on right behind a marker without length: so what follows counts too.
        position = match.end()
        if match[0][1] not in _JPEG_WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2])
    raise TruncatedImageError("this JPEG picture is corrupt: it has too many scans")


def _shapes_pixels(marker: int, segment: bytes) -> bool:
    if marker in _JPEG_FRAMES and segment[4:5] not in (b"\x08", b""):
        raise UnsupportedFormatError(
            f"JPEG with {segment[4]} bits per colour is not read; send JPEG with 8, PNG or WebP"
        )
    if marker in (_JPEG_APP0, _JPEG_APP14):
        return True
    return marker != _JPEG_COMMENT and not _JPEG_APP0 < marker <= _JPEG_APP15


def _distil_png(data: bytes) -> Essence:
    kept, exif, position = [_PNG_SIGNATURE], None, len(_PNG_SIGNATURE)
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
    return Essence("PNG", b"".join(kept), exif)


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
    raise TruncatedImageError("this WebP picture ends before its pixels")
