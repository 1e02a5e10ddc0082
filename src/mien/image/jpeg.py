"""JPEG files: remove metadata, limit scans, and notice a missing end. Source: ITU-T T.81, B."""

import re
from io import BytesIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from mien.errors import ImageTooLargeError, TruncatedImageError, UnsupportedFormatError

__all__ = ["last_scan_is_complete", "strip_jpeg"]

_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9
_END_MARKER = b"\xff\xd9"
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = {0xC2, 0xC6, 0xCA, 0xCE}
# Photos have tens of segments, rarely hundreds. Millions of empty ones would take seconds.
_MAX_SEGMENTS = 10_000
# Each scan of a progressive JPEG is a pass over all pixels. Encoders write about ten; thousands
# of empty ones in a small file would keep a core busy for hours.
_MAX_SCANS = 64
# Decoding a large image with 60 scans took 2 to 19 seconds, and a decoder cannot be interrupted.
# So the pixels of all scans together are limited, to 20 scans of 50 megapixels. Any size may have
# 16 scans, more than encoders write.
_MAX_SCANNED_PIXELS, _USUAL_SCANS = 1_000_000_000, 16
# Inside a scan 0xFF is followed by a stuffed zero or is a restart marker.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A continuation that no scan has, for ``last_scan_is_complete``. It starts with ones, because a
# decoder that runs out of data continues with zeros. No byte is 0xFF.
_NOISE = b"\xfe" + bytes(index * index * 73 % 251 for index in range(4096))


def strip_jpeg(data: bytes) -> tuple[bytes, bytes | None, bool]:
    """Remove the segments that do not change the pixels.

    Returns:
        The file without metadata; its EXIF block or None; True where the end marker was missing
        and has been added.

    Raises:
        TruncatedImageError: The file ends before its pixels, or scans are missing.
        UnsupportedFormatError: More than 8 bits per color.
        ImageTooLargeError: Too many scans of too many pixels.
    """
    kept, exif, position, frame = [data[:2]], None, 2, b""
    for _ in range(_MAX_SEGMENTS):
        # Fill bytes and stray ones between segments are legal, or at least common.
        position = data.find(b"\xff", position)
        marker = data[position + 1] if 0 <= position < len(data) - 1 else _END
        if marker == _SCAN:
            scans, end_missing = _complete_scans(data, position, frame)
            return b"".join([*kept, scans]), exif, end_missing
        if marker == 0xFF:
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if marker == _END or not position + 4 <= end <= len(data):
            break
        segment = data[position:end]
        if marker in _FRAMES:
            frame = segment
            _check_depth(frame)
        if marker == _APP1 and exif is None and segment[4:10] == b"Exif\0\0":
            exif = segment[4:]
        if _changes_pixels(marker):
            kept.append(segment)
        position = end
    raise TruncatedImageError("this JPEG image ends before its pixels")


def last_scan_is_complete(data: bytes) -> bool:
    """Return whether the last scan of a JPEG is complete, although its end marker is missing.

    Decoders fill in what is missing at the end of a scan. So the file with and without appended
    noise decodes to the same pixels only if nothing is missing.

    Args:
        data: The file, with an end marker appended.
    """
    body = data.removesuffix(_END_MARKER)
    with (
        JpegImageFile(BytesIO(data)) as image,
        JpegImageFile(BytesIO(body + _NOISE + _END_MARKER)) as continued,
    ):
        return np.array_equal(np.asarray(image), np.asarray(continued))


def _check_depth(frame: bytes) -> None:
    if frame[4:5] not in (b"\x08", b""):
        raise UnsupportedFormatError(
            f"JPEG with {frame[4]} bits per color is not supported; convert it to 8 bits or PNG"
        )


def _changes_pixels(marker: int) -> bool:
    # APP0 (JFIF) and APP14 (Adobe) declare the color space.
    if marker in (_APP0, _APP14):
        return True
    return marker != _COMMENT and not _APP0 < marker <= _APP15


def _complete_scans(data: bytes, position: int, frame: bytes) -> tuple[bytes, bool]:
    """Return the scans from a position on, and whether their end marker had to be added."""
    headers, has_end = _scan_headers(data, position, frame)
    if has_end:
        return data[position:], False
    if not _scans_cover_image(headers, frame):
        raise TruncatedImageError("this JPEG image is cut off: scans are missing")
    # Interrupted downloads are padded with zeros. Up to two may belong to the scan.
    padded = len(data.rstrip(b"\0"))
    return data[position : padded + 2].removesuffix(b"\xff") + _END_MARKER, True


def _scan_headers(data: bytes, position: int, frame: bytes) -> tuple[list[bytes], bool]:
    """Return the header of each scan, and whether the end marker follows them."""
    pixels = int.from_bytes(frame[5:7]) * int.from_bytes(frame[7:9]) or 1
    at_most = max(_MAX_SCANNED_PIXELS // pixels, _USUAL_SCANS)
    headers: list[bytes] = []
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER_IN_SCAN.search(data, position)
        if match is None or match[0][1] == _END:
            return headers, match is not None
        # Decoders continue after a marker without length, so the following data counts too.
        position = match.end()
        if match[0][1] not in _WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2])
        if match[0][1] != _SCAN:
            continue
        headers.append(data[match.end() + 2 : position])
        if len(headers) > _MAX_SCANS:
            break
        if len(headers) > at_most:
            raise ImageTooLargeError(
                f"this JPEG image of {pixels:,} pixels has more than {at_most} scans; "
                "save it with fewer scans, or smaller"
            )
    raise TruncatedImageError("this JPEG image is corrupt: it has too many scans")


def _scans_cover_image(headers: list[bytes], frame: bytes) -> bool:
    """Return whether the scans hold each coefficient of each component to its last bit."""
    progressive = frame[1:2] and frame[1] in _PROGRESSIVE_FRAMES
    missing = {(component, index) for component in frame[10::3] for index in range(64)}
    for header in headers:
        if len(header) < 4:
            return False
        components, (first, last, bits) = header[1:-3:2], header[-3:]
        if not progressive:
            first, last, bits = 0, 63, 0
        if bits & 0x0F == 0:
            missing -= {(c, index) for c in components for index in range(first, last + 1)}
    return not missing
