"""Recognize the format of a file by its first bytes, before any decoder sees it."""

import re

from mien.errors import NotAnImageError, UnsupportedFormatError

__all__ = ["PNG_SIGNATURE", "SNIFF_BYTES", "sniff"]

# Images and videos are recognized by this many bytes at their start.
SNIFF_BYTES = 1024

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUPPORTED = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(re.escape(PNG_SIGNATURE))),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    # Texts begin with "BM" too, so the reserved bytes and the size of the second header count.
    ("BMP", re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL)),
)
# TIFF is recognized but not read: libtiff, which decodes its compressed variants, has a long
# history of memory errors, and a small file can declare many large strips. Cameras and browsers do
# not produce TIFF.
_UNSUPPORTED = (
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("ICO", re.compile(rb"\0\0[\x01\x02]\0[^\0]\0")),
    ("PSD", re.compile(rb"8BPS")),
    ("JPEG 2000", re.compile(rb"\0{3}\x0cjP {2}|\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0{3}\x0cJXL ")),
    ("PNM", re.compile(rb"P[1-7]\s")),
    ("OpenEXR", re.compile(rb"v/1\x01")),
    ("SVG", re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{,900}?)?<svg[\s>]", re.DOTALL)),
)

# Brands of the ``ftyp`` box that AVIF and HEIC begin with (ISO/IEC 23008-12, annex B; AV1 Image
# File Format, 6). A file with a general brand names its codec among the compatible brands.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_GENERAL_BRANDS = {b"mif1", b"msf1"}


def sniff(data: bytes) -> str:
    """Recognize the format of an image file.

    Args:
        data: The file, or at least its first ``SNIFF_BYTES`` bytes.

    Returns:
        ``JPEG``, ``PNG``, ``WebP``, ``GIF``, ``BMP``, ``AVIF`` or ``HEIC``.

    Raises:
        UnsupportedFormatError: An image in another format.
        NotAnImageError: Not an image.
    """
    start = data[:SNIFF_BYTES]
    if start[4:8] == b"ftyp" and (heif := _heif_format(start)):
        return heif
    for name, pattern in _SUPPORTED:
        if pattern.match(start):
            return name
    for name, pattern in _UNSUPPORTED:
        if pattern.match(start):
            raise UnsupportedFormatError(f"{name} is not supported; convert it to JPEG or PNG")
    raise NotAnImageError("this is not an image; expected JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP")


def _heif_format(start: bytes) -> str | None:
    major = start[8:12]
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIC_BRANDS:
        return "HEIC"
    if major not in _GENERAL_BRANDS:
        return None
    end = min(int.from_bytes(start[:4]), len(start))
    compatible = {start[at : at + 4] for at in range(16, end, 4)}
    return "AVIF" if compatible & _AVIF_BRANDS else "HEIC"
