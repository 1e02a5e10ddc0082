"""Odd and malformed files from public collections: each gives a result or a clear error, soon."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import httpx2 as httpx
import numpy as np
import pytest
from attacked import Attacked, check

from mien.errors import ImageError
from mien.image import load_image
from mien.types import RgbImage

LIMIT = 50_000_000
# Generous, for a busy machine: the slowest file takes a tenth of a second on a quiet one.
TIME_LIMIT_S = 5.0


def test_every_file_is_an_image_or_a_clear_error(shared: Path) -> None:
    for path in files_in(shared):
        started = perf_counter()
        outcome = attempt(path)
        assert perf_counter() - started < TIME_LIMIT_S, path
        if isinstance(outcome, ImageError):
            assert outcome.code != "internal_error", path
            assert outcome.message, path


def files_in(shared: Path) -> list[Path]:
    files = [path for path in (shared / "badimages").rglob("*") if path.is_file()]
    assert len(files) > 400
    return files


def attempt(path: Path) -> RgbImage | ImageError:
    try:
        return load_image(path, max_pixels=LIMIT)
    except ImageError as error:
        return error


def test_a_service_answers_every_file(shared: Path, service: Attacked) -> None:
    files = files_in(shared)
    raw = {"Content-Type": "application/octet-stream"}
    with httpx.Client(base_url=service.address, timeout=60) as client:

        def as_body(path: Path) -> str:
            return check(client.post("/emotion", content=path.read_bytes(), headers=raw))

        def as_form(path: Path) -> str:
            return check(client.post("/emotion", files={"image": ("x", path.read_bytes())}))

        with ThreadPoolExecutor(4) as clients:
            codes = list(clients.map(as_body, files))
            service.note_memory()
            again = list(clients.map(as_form, files))
    assert dict(zip(files, again, strict=True)) == dict(zip(files, codes, strict=True))
    for code in ("faces", "truncated_image", "not_an_image", "unsupported_format"):
        assert codes.count(code) > 5, Counter(codes)
    service.check_unharmed()


def test_valid_images_of_the_png_suite_are_read(shared: Path) -> None:
    for path in sorted((shared / "badimages" / "pngsuite").glob("*.png")):
        # xcsn0g01 has a wrong checksum over data that is whole: it is read.
        broken = path.name.startswith("x") and path.stem != "xcsn0g01"
        assert isinstance(attempt(path), ImageError if broken else RgbImage), path


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_all_orientations_are_the_same_image(shared: Path, shape: str) -> None:
    folder = shared / "badimages" / "exif_orientation"
    images = [
        load_image(folder / f"{shape}_{value}.jpg", max_pixels=LIMIT).pixels.astype(int)
        for value in range(9)
    ]
    for value, image in enumerate(images):
        assert image.shape == images[1].shape, value
        # Each was compressed for itself, so they agree only approximately.
        assert np.abs(image - images[1]).mean() < 5, value
