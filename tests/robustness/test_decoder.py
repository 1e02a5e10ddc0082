"""Thousands of mutated files of each format: each is an image or an error, in bounded memory."""

import random
from collections import Counter

import numpy as np
import psutil
import pytest
from mutations import files_by_format, mutate
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ImageError
from mien.image import decode_image

CASES = 1_500
MAX_PIXELS = 4_000_000
# Decoded images take at most 16 MB each; what is kept of so many files would be far more.
MAX_GROWTH_BYTES = 60_000_000
FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP", "AVIF", "HEIC")


@pytest.mark.parametrize("format_", FORMATS)
def test_mutated_files(format_: str, astronaut: NDArray[np.uint8]) -> None:
    files = files_by_format(Image.fromarray(astronaut).crop((130, 0, 330, 200)))[format_]
    chance, codes, process = random.Random(20_260_103), Counter[str](), psutil.Process()
    for number in range(CASES):
        codes[outcome(mutate(chance.choice(files), files, chance))] += 1
        if number == CASES // 5:
            before = process.memory_info().rss
    assert process.memory_info().rss - before < MAX_GROWTH_BYTES
    # Otherwise the mutations would be too strong, or too weak, to find anything.
    for code in ("image", "truncated_image", "not_an_image"):
        assert codes[code] > CASES / 50, codes


def outcome(data: bytes) -> str:
    try:
        image = decode_image(data, max_pixels=MAX_PIXELS, enough_pixels=1_000)
    except ImageError as error:
        return error.code
    assert image.width * image.height <= MAX_PIXELS
    return "image"
