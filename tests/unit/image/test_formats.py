"""Each format is recognized by its first bytes; what cannot be read is refused with its code."""

import struct
import sys

import numpy as np
import pytest
from image_files import (
    FORMATS,
    RED,
    bmp,
    decode,
    encode_any,
    gif,
    plain,
    png,
    webp_header,
    with_ispe,
)
from PIL import Image

from mien import errors
from mien.image import decode as decode_module
from mien.image import decode_image, load_image
from mien.image.formats import sniff
from samples import encode

HUGE_PNG = png(30_000, 30_000, bits=8, color=2, rows=b"")

REFUSED = {
    "nothing": (b"", "empty_upload"),
    "text": (b"BMX bikes and a lot of text", "not_an_image"),
    "one byte": (b"\xff", "not_an_image"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "not_an_image"),
    "sound in RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", "not_an_image"),
    "HTML": (b"<!doctype html><html><body>", "not_an_image"),
    "MP4": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41", "not_an_image"),
    "TIFF": (plain("TIFF"), "unsupported_format"),
    "big-endian TIFF": (b"MM\0*\0\0\0\x08", "unsupported_format"),
    "ICO": (encode(Image.new("RGB", (32, 32)), "ICO"), "unsupported_format"),
    "PPM": (plain("PPM"), "unsupported_format"),
    "JPEG 2000": (plain("JPEG2000"), "unsupported_format"),
    "PSD": (b"8BPS\0\x01", "unsupported_format"),
    "JPEG XL": (b"\xff\x0a\xfa\x1f", "unsupported_format"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="x">', "unsupported_format"),
    "12-bit JPEG": (
        b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\x01\x01\x11\0\xff\xda",
        "unsupported_format",
    ),
    "BMP with run lengths": (bmp(8, 6, bits=8, compression=1), "unsupported_format"),
    "BMP around a JPEG": (bmp(8, 6, compression=4), "unsupported_format"),
    "PNG of 30,000 x 30,000": (HUGE_PNG, "image_too_large"),
    "WebP of 16,000 x 16,000": (
        webp_header(b"VP8X", bytes(4) + (15_999).to_bytes(3, "little") * 2),
        "image_too_large",
    ),
    "lossy WebP of 16,000 x 16,000": (
        webp_header(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_000, 16_000)),
        "image_too_large",
    ),
    "lossless WebP of 16,000 x 16,000": (
        webp_header(b"VP8L", b"\x2f" + struct.pack("<I", 15_999 | 15_999 << 14) + bytes(5)),
        "image_too_large",
    ),
    "GIF of 60,000 x 60,000": (gif((60_000, 60_000), (0, 0, 1, 1)), "image_too_large"),
    "GIF with a frame of 60,000 x 60,000": (gif((1, 1), (0, 0, 60_000, 60_000)), "image_too_large"),
    "GIF with a frame far off": (gif((1, 1), (60_000, 60_000, 1, 1)), "image_too_large"),
    # This disposal method makes Pillow allocate the frame when it opens the file.
    "GIF that restores a background": (
        gif((1, 1), (0, 0, 60_000, 60_000), extensions=b"!\xf9\x04\x08\0\0\0\0"),
        "image_too_large",
    ),
    "BMP of 30,000 x 30,000": (bmp(30_000, 30_000), "image_too_large"),
    "BMP of 30,000 x 30,000, top first": (bmp(30_000, -30_000), "image_too_large"),
    "BMP of negative width": (bmp(-5, 6), "image_too_large"),
    "AVIF of 16,000 x 16,000": (
        with_ispe(plain("AVIF"), (8, 6), (16_000, 16_000)),
        "image_too_large",
    ),
    "WebP of an unknown kind": (webp_header(b"VP9 ", bytes(10)), "truncated_image"),
    "WebP that is only a start": (b"RIFF\x10\0\0\0WEBPVP8 ", "truncated_image"),
    "JPEG that is only a start": (b"\xff\xd8\xff\xe0\0\x10JFIF", "truncated_image"),
    "JPEG without an image": (b"\xff\xd8\xff\xd9", "truncated_image"),
    "PNG that is only a start": (b"\x89PNG\r\n\x1a\n", "truncated_image"),
    "GIF that is only a start": (b"GIF89a", "truncated_image"),
    "GIF without a frame": (b"GIF89a" + bytes(40), "truncated_image"),
    "GIF without pixels": (gif((8, 6), (0, 0, 8, 6)), "truncated_image"),
    "GIF of no size": (gif((0, 0), (0, 0, 0, 0)), "truncated_image"),
    "BMP without pixels": (bmp(8, 6), "truncated_image"),
    "BMP of no size": (bmp(0, 0), "truncated_image"),
    "BMP with an odd depth": (bmp(8, 6, bits=7), "truncated_image"),
    "AVIF that is only a start": (b"\0\0\0\x18ftypavif\0\0\0\0", "truncated_image"),
    "HEIC that is only a start": (b"\0\0\0\x18ftypheic\0\0\0\0", "truncated_image"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, code: str) -> None:
    with pytest.raises(errors.ImageError) as caught:
        decode(data)
    assert caught.value.code == code
    assert "PIL" not in caught.value.message


def test_avif_that_declares_more_than_the_decoder_accepts() -> None:
    """libavif refuses it when the file is opened."""
    with pytest.raises(errors.ImageTooLargeError):
        decode(with_ispe(plain("AVIF"), (8, 6), (60_000, 60_000)))


def test_avif_whose_coded_image_is_larger_than_declared() -> None:
    """The decoded image has the declared size, which is the one that is compared with the limit."""
    larger = encode_any(Image.new("RGB", (640, 480), (200, 30, 30)), "AVIF")
    assert decode(with_ispe(larger, (640, 480), (8, 6))).shape == (6, 8, 3)


def test_heic_of_too_many_pixels() -> None:
    heic = encode_any(Image.new("RGB", (64, 64)), "HEIC")
    for declared in ((8_000, 8_000), (16_000, 16_000)):
        with pytest.raises(errors.ImageTooLargeError):
            decode(with_ispe(heic, (64, 64), declared))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files(astronaut: np.ndarray, format_: str, share: float) -> None:
    data = encode_any(Image.fromarray(astronaut), format_)
    with pytest.raises(errors.TruncatedImageError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (13, 17), (1, 300)])
def test_small_images(format_: str, size: tuple[int, int]) -> None:
    pixels = decode(plain(format_, size=size))
    assert pixels.shape == (size[1], size[0], 3)
    assert np.abs(pixels[0, 0].astype(int) - RED).max() < 6


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"avif\0\0\0\0", "AVIF"),
        (b"avis\0\0\0\0avis", "AVIF"),
        (b"heic\0\0\0\0mif1heic", "HEIC"),
        (b"heix\0\0\0\0", "HEIC"),
        (b"mif1\0\0\0\0mif1heic", "HEIC"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"mif1\0\0\0\0", "HEIC"),
        (b"msf1\0\0\0\0hevcmsf1", "HEIC"),
    ],
)
def test_brands(brands: bytes, expected: str) -> None:
    box = struct.pack(">I", len(brands) + 8) + b"ftyp" + brands
    assert sniff(box) == expected
    # Only brands inside the box count.
    assert sniff(box + b"avif" * 20) == expected


def test_a_limit_above_pillows_own_is_kept_without_a_warning() -> None:
    with pytest.raises(errors.TruncatedImageError):
        decode_image(HUGE_PNG, max_pixels=10**9)
    canvas = webp_header(b"VP8X", bytes(4) + (15_999).to_bytes(3, "little") * 2)
    with pytest.raises((errors.ImageTooLargeError, errors.TruncatedImageError)):
        decode_image(canvas, max_pixels=10**9)


def test_limit_is_inclusive_and_also_for_images_in_memory(astronaut: np.ndarray) -> None:
    pixels = astronaut[:10, :20]
    files = [plain(format_, size=(20, 10)) for format_ in FORMATS]
    for image in (*files, pixels, pixels[:, :, 0], pixels / 255, Image.fromarray(pixels)):
        assert load_image(image, max_pixels=200).width == 20
        with pytest.raises(errors.ImageTooLargeError) as caught:
            load_image(image, max_pixels=199)
        # The message is how people learn which setting allows more.
        # It must fit all interfaces.
        assert "raise max_pixels" in caught.value.message


def test_heic_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = plain("HEIC")
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(errors.UnsupportedFormatError) as caught:
        decode(heic)
    assert "pip install 'mien[heic]'" in caught.value.message


def test_avif_without_a_decoder_in_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "AVIF_SUPPORTED", False)
    with pytest.raises(errors.UnsupportedFormatError):
        decode(plain("AVIF"))
