"""Colors, bit depths, orientation, animations and metadata of files that are read."""

import io
import struct
import threading
import zlib
from time import process_time

import numpy as np
import pytest
from image_files import (
    BLUE,
    GREEN,
    GREY,
    LIMIT,
    RED,
    WHITE,
    bmp,
    decode,
    encode_any,
    exif,
    png,
    png16,
    png_chunk,
)
from PIL import Image, PngImagePlugin

from mien import errors
from mien.image import load_image
from samples import encode


def cmyk_jpeg() -> bytes:
    # Pillow writes, as Photoshop does, inverted values with an Adobe marker.
    return encode(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", quality=100)


def palette_with_transparency() -> bytes:
    image = Image.new("P", (8, 6), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((7, 5), 0)
    return encode(image, "PNG", transparency=bytes([0, 255]))


COLORS = {
    "grey JPEG": (encode(Image.new("L", (8, 6), 128), "JPEG"), GREY),
    "CMYK JPEG": (cmyk_jpeg(), RED),
    "progressive JPEG": (
        encode(Image.new("RGB", (8, 6), RED), "JPEG", progressive=True, quality=95),
        RED,
    ),
    "1 bit": (encode(Image.new("1", (8, 6), 1), "PNG"), WHITE),
    "grey": (encode(Image.new("L", (8, 6), 128), "PNG"), GREY),
    "grey, half opaque": (encode(Image.new("LA", (8, 6), (0, 127)), "PNG"), GREY),
    "16-bit grey": (png(1, 1, bits=16, color=0, rows=b"\0\x80\x00"), GREY),
    "16-bit color": (png(1, 1, bits=16, color=2, rows=b"\0\xff\xff\0\0\0\0"), RED),
    "16-bit color, opaque": (
        png(1, 1, bits=16, color=6, rows=b"\0\xff\xff\0\0\0\0\xff\xff"),
        RED,
    ),
    "color, transparent": (encode(Image.new("RGBA", (8, 6), (0, 0, 0, 0)), "PNG"), WHITE),
    "color with a transparent one": (
        encode(Image.new("RGB", (8, 6), RED), "PNG", transparency=(255, 0, 0)),
        WHITE,
    ),
    "grey with a transparent one": (
        encode(Image.new("L", (8, 6), 9), "PNG", transparency=9),
        WHITE,
    ),
    "16-bit grey with a transparent one": (
        png(1, 1, bits=16, color=0, rows=b"\0\x80\x00", extra=png_chunk(b"tRNS", b"\x80\x00")),
        WHITE,
    ),
    "16-bit color with a transparent one": (
        png(
            1,
            1,
            bits=16,
            color=2,
            rows=b"\0\xff\xff\0\0\0\0",
            extra=png_chunk(b"tRNS", b"\xff\xff\0\0\0\0"),
        ),
        WHITE,
    ),
    "palette": (encode(Image.new("RGB", (8, 6), BLUE).quantize(4), "PNG"), BLUE),
    "palette with transparency": (palette_with_transparency(), RED),
    "lossless WebP": (encode(Image.new("RGB", (8, 6), BLUE), "WEBP", lossless=True), BLUE),
    "transparent WebP": (
        encode(Image.new("RGBA", (8, 6), (255, 0, 0, 0)), "WEBP", lossless=True),
        WHITE,
    ),
    "AVIF": (encode(Image.new("RGB", (8, 6), BLUE), "AVIF", quality=100), BLUE),
    "grey AVIF": (encode(Image.new("L", (8, 6), 128), "AVIF"), GREY),
    "transparent AVIF": (encode(Image.new("RGBA", (8, 6), (255, 0, 0, 0)), "AVIF"), WHITE),
    "HEIC": (encode_any(Image.new("RGB", (64, 64), GREEN), "HEIC"), GREEN),
    "grey HEIC": (encode_any(Image.new("L", (64, 64), 128), "HEIC"), GREY),
    "transparent HEIC": (encode_any(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "HEIC"), WHITE),
    "HEIC of 10 bits": (
        encode_any(Image.new("I;16", (64, 64), 128 << 8), "HEIC"),
        GREY,
    ),
    "GIF": (encode(Image.new("RGB", (8, 6), BLUE), "GIF"), BLUE),
    "grey GIF": (encode(Image.new("L", (8, 6), 128), "GIF"), GREY),
    "transparent GIF": (encode(Image.new("P", (8, 6), 3), "GIF", transparency=3), WHITE),
    "BMP": (encode(Image.new("RGB", (8, 6), BLUE), "BMP"), BLUE),
    "BMP with alpha": (encode(Image.new("RGBA", (8, 6), (255, 0, 0, 255)), "BMP"), RED),
    "BMP of 1 bit": (encode(Image.new("1", (8, 6), 1), "BMP"), WHITE),
    "palette BMP": (encode(Image.new("RGB", (8, 6), BLUE).quantize(4), "BMP"), BLUE),
    "BMP, top row first": (bmp(1, -2, pixels=b"\0\0\xff\0" + b"\xff\0\0\0"), RED),
}


@pytest.mark.parametrize(("data", "expected"), COLORS.values(), ids=COLORS)
def test_colors(data: bytes, expected: tuple[int, int, int]) -> None:
    assert np.abs(decode(data)[0, 0].astype(int) - expected).max() <= 3


def test_transparent_palette_entry_is_white() -> None:
    assert decode(palette_with_transparency())[5, 7].tolist() == list(WHITE)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_scaled_to_the_range_of_its_data(bits: int, channels: int) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None, :, None] * 2 ** (bits - 8)
    samples = np.repeat(ramp, channels, axis=2)
    if channels in (2, 4):
        samples[:, :, -1] = 65535
    assert np.array_equal(decode(png16(samples))[0, :, 0], np.arange(256))


def test_16_bit_png_colors_stay_distinct() -> None:
    samples = np.array([[[4095, 2048, 16]]], np.uint16)
    assert decode(png16(samples))[0, 0].tolist() == [255, 128, 1]


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC"])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation(astronaut: np.ndarray, value: int, format_: str, order: str) -> None:
    upright = Image.fromarray(astronaut[:96, :144])
    stored = upright.transpose(UNDO[value]) if value in UNDO else upright
    options = {"lossless": True} if format_ == "WEBP" else {"quality": 95}
    data = encode_any(stored, format_, exif=exif(value, order=order), **options)
    images = [decode(data)]
    if format_ != "HEIC":
        images.append(load_image(Image.open(io.BytesIO(data)), max_pixels=LIMIT).pixels)
    for pixels in images:
        assert pixels.shape == (96, 144, 3)
        assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 4


BROKEN_EXIF = {
    "empty": b"Exif\0\0",
    "no byte order": b"Exif\0\0XX" + bytes(20),
    "directory outside": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "directory cut off": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x01",
    "value out of range": exif(9),
    "value of an odd type": exif(0, kind=5),
    "tag that points outside": (
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x10F, 2, 999, 9999)
    ),
}


@pytest.mark.parametrize("block", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_matter(block: bytes, format_: str) -> None:
    data = encode(Image.new("RGB", (8, 6), RED), format_, exif=block)
    assert decode(data).shape == (6, 8, 3)


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation_in_any_kind_of_integer(kind: int, order: str) -> None:
    data = encode(Image.new("RGB", (8, 6)), "JPEG", exif=exif(6, order=order, kind=kind))
    assert decode(data).shape == (8, 6, 3)


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF", "AVIF"])
def test_first_frame_of_an_animation(format_: str) -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in (RED, GREEN, BLUE)]
    options = {"AVIF": {"quality": 100}, "WEBP": {"lossless": True}}.get(format_, {})
    data = encode(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    assert np.abs(decode(data)[0, 0].astype(int) - RED).max() <= 3


def test_first_frame_of_a_gif_that_is_cut_off_later() -> None:
    frames = [Image.fromarray(np.full((60, 80), value, np.uint8)) for value in (128, 9, 200)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(decode(data[:-30]), np.full((60, 80, 3), 128))


def test_frame_of_a_gif_may_be_smaller_or_larger_than_its_canvas() -> None:
    data = encode(Image.new("RGB", (8, 6), RED), "GIF")
    for canvas, shape in (((20, 30), (30, 20, 3)), ((1, 1), (6, 8, 3))):
        changed = data[:6] + struct.pack("<HH", *canvas) + data[10:]
        pixels = decode(changed)
        assert pixels.shape == shape
        assert pixels[5, 7].tolist() == list(RED)


@pytest.mark.parametrize("size", [1, 255])
def test_extensions_of_a_gif_are_ignored(size: int) -> None:
    data = encode(Image.new("RGB", (8, 6), RED), "GIF")
    frame = data.index(b",")
    block = bytes([size]) + bytes(size)
    few, many = (block * (count // size) + b"\0" for count in (50_000, 10_000_000))
    assert decode(data[:frame] + b"!\xfe" + few + data[frame:])[0, 0].tolist() == list(RED)
    if size == 1:
        started = process_time()
        with pytest.raises(errors.TruncatedImageError):
            decode(data[:frame] + b"!\xfe" + many + data[frame:])
        assert process_time() - started < 1


def test_extensions_without_end_are_refused_quickly() -> None:
    data = encode(Image.new("RGB", (8, 6), RED), "GIF")
    frame = data.index(b",")
    started = process_time()
    with pytest.raises(errors.TruncatedImageError):
        decode(data[:frame] + b"!\xfe\0" * 5_000_000 + data[frame:])
    assert process_time() - started < 1


def test_broken_animation_is_its_still_image() -> None:
    odd = png_chunk(b"acTL", bytes(8))
    rows = b"\0" + bytes(RED)
    assert decode(png(1, 1, bits=8, color=2, rows=rows, extra=odd))[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt"])
def test_compressed_bomb_in_metadata_is_ignored(name: bytes) -> None:
    bomb = png_chunk(name, b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    rows = b"\0" + bytes(RED)
    data = png(1, 1, bits=8, color=2, rows=rows, extra=bomb)
    assert decode(data)[0, 0].tolist() == list(RED)


def test_text_after_the_pixels_is_ignored() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000)), after_idat=True)
    assert decode(encode(Image.new("RGB", (2, 2), RED), "PNG", pnginfo=info)).shape == (2, 2, 3)


def test_threads_share_the_decoder(face_photo: bytes) -> None:
    expected, same = decode(face_photo), []
    threads = [
        threading.Thread(target=lambda: same.append(np.array_equal(decode(face_photo), expected)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 8
