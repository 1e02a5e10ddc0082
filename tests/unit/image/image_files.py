"""Image files made byte by byte, or by the libraries that also read them."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
from PIL import Image

from mien.image import decode_image
from samples import encode

LIMIT = 50_000_000
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128,) * 3
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "BMP")


def decode(data: bytes) -> np.ndarray:
    image = decode_image(data, max_pixels=LIMIT)
    assert image.pixels.flags.c_contiguous
    return image.pixels


def encode_any(image: Image.Image, format_: str, **options: object) -> bytes:
    """As ``samples.encode``, HEIC included.

    An EXIF orientation is written into HEIC as phones do it: in the header too, which counts.
    """
    if format_ != "HEIC":
        return encode(image, format_, **options)
    stream = io.BytesIO()
    heic = pillow_heif.from_pillow(image)
    heic.info["exif"] = options.pop("exif", None)
    heic.save(stream, quality=90)
    return stream.getvalue()


def plain(format_: str, color: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 6)) -> bytes:
    return encode_any(Image.new("RGB", size, color), format_)


def png_chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png(
    width: int, height: int, *, bits: int, color: int, rows: bytes, extra: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def png16(samples: np.ndarray) -> bytes:
    """A PNG of (H, W, C) samples of 16 bits: grey, grey with alpha, RGB or RGBA."""
    height, width, channels = samples.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2"))
    return png(width, height, bits=16, color=color, rows=rows)


def exif(value: int, *, order: str = "II", kind: int = 3) -> bytes:
    o = "<" if order == "II" else ">"
    packed = struct.pack(f"{o}{ {1: 'B3x', 3: 'H2x', 4: 'I', 5: 'I'}[kind] }", value)
    directory = struct.pack(f"{o}HIHHHI", 42, 8, 1, 0x0112, kind, 1) + packed + bytes(4)
    return b"Exif\0\0" + order.encode() + directory


def webp_header(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\x64\0\0\0WEBP" + kind + struct.pack("<I", len(body)) + body + bytes(100)


def gif(
    canvas: tuple[int, int],
    frame: tuple[int, int, int, int],
    *,
    extensions: bytes = b"",
) -> bytes:
    """A GIF whose frame, (left, top, width, height), has no pixels."""
    header = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0, 0, 0)
    return header + extensions + b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02\0;"


def bmp(
    width: int, height: int, *, bits: int = 24, compression: int = 0, pixels: bytes = b""
) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + info + pixels


def with_ispe(data: bytes, size: tuple[int, int], declared: tuple[int, int]) -> bytes:
    """The AVIF or HEIC file, declaring another size in its header."""
    old, new = (b"ispe\0\0\0\0" + struct.pack(">II", *each) for each in (size, declared))
    assert old in data
    return data.replace(old, new)
