"""The orientation tag of EXIF."""

import struct

__all__ = ["ROTATED_ORIENTATIONS", "orientation_of"]

# Orientations that swap width and height.
ROTATED_ORIENTATIONS = frozenset({5, 6, 7, 8})

_ORIENTATION_TAG = 0x0112
_INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}


def orientation_of(exif: object) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or broken.

    Source: CIPA DC-008 (Exif 2.32), 4.6.

    Args:
        exif: The bytes of the EXIF block, with or without its ``Exif`` prefix.
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
            if tag == _ORIENTATION_TAG:
                letter = _INTEGER_TYPES.get(kind, "H")
                (value,) = struct.unpack_from(f"{order}{letter}", tiff, entry + 8)
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
