"""Whatever the bytes are, the result is an image or an error of mien's own."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import encode_any
from PIL import Image

from mien.errors import ImageError
from mien.image import decode_image
from mien.types import RgbImage
from samples import encode

LIMIT = 1_000_000

_noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
_exif = Image.Exif()
_exif[0x0112] = 6
_frames = {"save_all": True, "append_images": [_noise.rotate(180)]}
FILES = {
    "JPEG": encode(_noise, "JPEG", exif=_exif),
    "progressive JPEG": encode(_noise, "JPEG", progressive=True),
    "JPEG without an end": encode(_noise, "JPEG")[:-2],
    "grey JPEG": encode(_noise.convert("L"), "JPEG"),
    "CMYK JPEG": encode(_noise.convert("CMYK"), "JPEG"),
    "PNG": encode(_noise, "PNG", exif=_exif),
    "palette PNG": encode(_noise.quantize(16), "PNG", transparency=3),
    "grey PNG": encode(_noise.convert("LA"), "PNG"),
    "16-bit PNG": encode(Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32)), "PNG"),
    "animated PNG": encode(_noise, "PNG", **_frames),
    "WebP": encode(_noise, "WEBP", exif=_exif),
    "animated WebP": encode(_noise, "WEBP", **_frames),
    "GIF": encode(_noise.quantize(16), "GIF", transparency=3),
    "animated GIF": encode(_noise, "GIF", **_frames),
    "BMP": encode(_noise, "BMP"),
    "palette BMP": encode(_noise.quantize(16), "BMP"),
    "AVIF": encode(_noise, "AVIF", exif=_exif),
    "AVIF with alpha": encode(_noise.convert("RGBA"), "AVIF", quality=20),
    "animated AVIF": encode(_noise, "AVIF", **_frames),
    "HEIC": encode_any(_noise, "HEIC"),
    "HEIC with alpha": encode_any(_noise.convert("RGBA"), "HEIC"),
}
STARTS = [b"", *(data[:16] for data in FILES.values())]


def is_image_or_our_error(data: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert isinstance(decode_image(data, max_pixels=LIMIT), RgbImage)


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
@settings(max_examples=3 * settings().max_examples)
def test_any_bytes(start: bytes, rest: bytes) -> None:
    is_image_or_our_error(start + rest)


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_mutated_files(kind: str, data: st.DataObject) -> None:
    file = FILES[kind]
    changed = bytearray(file)
    # Most damage to the header, where it can do most.
    places = st.one_of(st.integers(0, min(199, len(file) - 1)), st.integers(0, len(file) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        changed[place] = value
    cut = data.draw(st.one_of(st.just(len(file)), st.integers(0, len(file))))
    is_image_or_our_error(bytes(changed[:cut]))


@pytest.mark.parametrize("kind", FILES)
def test_undamaged_files(kind: str) -> None:
    assert decode_image(FILES[kind], max_pixels=LIMIT).pixels.shape[2] == 3
