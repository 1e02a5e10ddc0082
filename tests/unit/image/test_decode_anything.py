"""Whatever the bytes are, the answer is a picture or an error of ours."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.errors import ImageError
from mien.image import decode_image
from mien.types import RgbImage
from samples import encode

LIMIT = 1_000_000

_noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
_exif = Image.Exif()
_exif[0x0112] = 6
SOUND = {
    "JPEG": encode(_noise, "JPEG", exif=_exif),
    "progressive JPEG": encode(_noise, "JPEG", progressive=True),
    "grey JPEG": encode(_noise.convert("L"), "JPEG"),
    "CMYK JPEG": encode(_noise.convert("CMYK"), "JPEG"),
    "PNG": encode(_noise, "PNG", exif=_exif),
    "palette PNG": encode(_noise.quantize(16), "PNG", transparency=3),
    "grey PNG": encode(_noise.convert("LA"), "PNG"),
    "animated PNG": encode(_noise, "PNG", save_all=True, append_images=[_noise.rotate(180)]),
    "WebP": encode(_noise, "WEBP", exif=_exif),
    "animated WebP": encode(_noise, "WEBP", save_all=True, append_images=[_noise.rotate(180)]),
}
STARTS = [b"", *(data[:16] for data in SOUND.values())]


def is_picture_or_our_error(data: bytes) -> None:
    with contextlib.suppress(ImageError):
        assert isinstance(decode_image(data, max_pixels=LIMIT), RgbImage)


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
@settings(max_examples=3 * settings().max_examples)
def test_any_bytes(start: bytes, rest: bytes) -> None:
    is_picture_or_our_error(start + rest)


@pytest.mark.parametrize("kind", SOUND)
@given(data=st.data())
def test_mutated_files(kind: str, data: st.DataObject) -> None:
    sound = SOUND[kind]
    changed = bytearray(sound)
    # Most damage to the header, where it can do most.
    places = st.one_of(st.integers(0, min(199, len(sound) - 1)), st.integers(0, len(sound) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        changed[place] = value
    cut = data.draw(st.one_of(st.just(len(sound)), st.integers(0, len(sound))))
    is_picture_or_our_error(bytes(changed[:cut]))


@pytest.mark.parametrize("kind", SOUND)
def test_undamaged_files(kind: str) -> None:
    assert decode_image(SOUND[kind], max_pixels=LIMIT).pixels.shape[2] == 3
