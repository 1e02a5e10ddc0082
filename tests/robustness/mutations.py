"""Files of every format, and what can be done to them."""

import random
import struct

from PIL import Image

from samples import encode

_SIDE_PX = 120
# Numbers that sizes, lengths and counts go wrong with.
_ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seeds(face: Image.Image) -> list[bytes]:
    """Return small files of the picture in all formats that are read, and in some that are not."""
    small = face.resize((_SIDE_PX, _SIDE_PX))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [small.rotate(180)]}
    return [
        encode(small, "JPEG", quality=90),
        encode(small, "JPEG", exif=turned),
        encode(small, "JPEG", progressive=True),
        encode(small.convert("L"), "JPEG"),
        encode(small.convert("CMYK"), "JPEG"),
        encode(small, "PNG"),
        encode(small, "PNG", compress_level=0, exif=turned),
        encode(small.quantize(16), "PNG", transparency=3),
        encode(small.convert("LA"), "PNG"),
        encode(small.convert("1"), "PNG"),
        encode(small, "PNG", **frames),
        encode(small, "WEBP"),
        encode(small, "WEBP", lossless=True, exif=turned),
        encode(small.convert("RGBA"), "WEBP", **frames),
        encode(small, "GIF", **frames),
        encode(small, "TIFF"),
        encode(small, "BMP"),
        encode(small, "AVIF"),
    ]


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return the file with one to eight things done to it, mostly near its start."""
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
