"""Small files of every format, and mutations of them."""

import io
import random
import struct

import pillow_heif
from PIL import Image

from samples import encode

_SIDE_PX = 120
# Values that sizes, lengths and counts are mishandled at.
_ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def files_by_format(face: Image.Image) -> dict[str, list[bytes]]:
    """Return small files of the image in each format that is read, and in TIFF, which is not."""
    small = face.resize((_SIDE_PX, _SIDE_PX))
    alpha, grey, palette = small.convert("RGBA"), small.convert("L"), small.quantize(16)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    frames = {"save_all": True, "append_images": [small.rotate(180)]}
    return {
        "JPEG": [
            encode(small, "JPEG", quality=90),
            encode(small, "JPEG", exif=rotated),
            encode(small, "JPEG", progressive=True),
            encode(small, "JPEG", progressive=True).removesuffix(b"\xff\xd9"),
            encode(grey, "JPEG"),
            encode(small.convert("CMYK"), "JPEG"),
        ],
        "PNG": [
            encode(small, "PNG"),
            encode(small, "PNG", compress_level=0, exif=rotated),
            encode(palette, "PNG", transparency=3),
            encode(small.convert("LA"), "PNG"),
            encode(small.convert("1"), "PNG"),
            encode(small, "PNG", **frames),
        ],
        "WebP": [
            encode(small, "WEBP"),
            encode(small, "WEBP", lossless=True, exif=rotated),
            encode(alpha, "WEBP", **frames),
        ],
        "GIF": [encode(small, "GIF", **frames), encode(palette, "GIF", transparency=3)],
        "BMP": [encode(small, "BMP"), encode(palette, "BMP"), encode(alpha, "BMP")],
        "AVIF": [
            encode(small, "AVIF", exif=rotated),
            encode(alpha, "AVIF"),
            encode(small, "AVIF", **frames),
        ],
        # The last one is a grid of tiles, as phones write it.
        "HEIC": [_heic(small), _heic(alpha), _heic(small, tile_size=64)],
        "TIFF": [encode(small, "TIFF")] * 2,
    }


def seeds(face: Image.Image) -> list[bytes]:
    """Return the files of all formats."""
    return [file for files in files_by_format(face).values() for file in files]


def _heic(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=60, **options)
    return stream.getvalue()


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return the file with one to eight mutations, most of them near its start."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        size = max(len(changed), 1)
        at = chance.randrange(min(size, chance.choice((32, 200, size))))
        length = min(chance.choice((1, 2, 4, 16, 200)), size - at)
        match chance.randrange(8):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([(changed or b"\0")[at] ^ 1 << chance.randrange(8)])
            case 2:
                form = chance.choice((">I", "<I", ">H", "<H"))
                limit = 0xFFFFFFFF if form[1] == "I" else 0xFFFF
                number = struct.pack(form, chance.choice(_ODD_NUMBERS) & limit)
                changed[at : at + len(number)] = number
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length] * chance.choice((1, 2, 50))
            case 5:
                changed[at:at] = chance.randbytes(length)
            case 6:
                del changed[max(at, chance.randrange(size)) :]
            case _:
                other = chance.choice(others)
                start = chance.randrange(len(other))
                changed[at : at + length] = other[start : start + length]
    return bytes(changed)
