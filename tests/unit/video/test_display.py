"""Frames as players display them: every quarter turn and mirror image, any shape of pixels."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.types import RgbImage
from mien.video.display import displayed_size, oriented
from mien.video.reader import VideoLimits, open_video
from videos import encoded_video, with_display_matrix

# (a, b, c, d) of the matrix, and what Pillow-like steps do to the array.
ORIENTATIONS = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "counterclockwise": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "flipped": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda p: np.rot90(p.swapaxes(0, 1), 2)),
}
LIMITS = VideoLimits()


def first_image(data: bytes) -> RgbImage:
    with open_video(data, LIMITS) as video:
        return next(video.frames(10)).image


def matrix(a: int, b: int, c: int, d: int) -> NDArray[np.int32]:
    return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_orientations(name: str, astronaut: NDArray[np.uint8]) -> None:
    entries, expected = ORIENTATIONS[name]
    # Neither square nor symmetrical.
    stored = astronaut[:192:2, :256:2]
    data = encoded_video([stored] * 3, range(0, 300, 100), encoder="libx264")
    pixels = first_image(with_display_matrix(data, *entries)).pixels
    assert pixels.shape == expected(stored).shape
    assert np.abs(pixels.astype(int) - expected(stored)).mean() < 8


@pytest.mark.parametrize(
    ("entries", "like"),
    [
        ((0, 0, 0, 0), (1, 0, 0, 1)),
        # Scaled, as an editor may write it, and turned by a few degrees more than a quarter.
        ((-40000, 0, 0, 131072), (-65536, 0, 0, 65536)),
        ((-5712, 65287, -65287, -5712), (0, 65536, -65536, 0)),
    ],
)
def test_odd_matrices(entries: tuple, like: tuple) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(oriented(pixels, matrix(*entries)), oriented(pixels, matrix(*like)))


@pytest.mark.parametrize(
    ("aspect", "size_wh"),
    [
        (None, (720, 576)),
        (Fraction(0), (720, 576)),
        (Fraction(1), (720, 576)),
        (Fraction(64, 45), (1024, 576)),
        (Fraction(16, 15), (768, 576)),
        (Fraction(1, 2), (720, 1152)),
        (Fraction(-2), (720, 576)),
        (Fraction(1000), (720, 576)),
    ],
)
def test_displayed_size(aspect: Fraction | None, size_wh: tuple[int, int]) -> None:
    assert displayed_size(720, 576, aspect) == size_wh


@pytest.mark.parametrize(
    ("form", "encoder"),
    [("mp4", "libx264"), ("matroska", "libx264"), ("avi", "libx264"), ("mpegts", "libx264")],
)
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2)])
def test_pixels_that_are_not_square(
    astronaut: NDArray[np.uint8], form: str, encoder: str, aspect: Fraction
) -> None:
    square = astronaut[::2, ::2]
    stored = square[:, ::2] if aspect > 1 else square[::2]
    image = first_image(encoded_video([stored] * 3, range(0, 300, 100), form, encoder, aspect))
    assert image.pixels.shape == square.shape
    assert np.abs(image.pixels.astype(int) - square).mean() < 12


def test_tall_pixels_of_a_video_on_its_side(astronaut: NDArray[np.uint8]) -> None:
    """The shape of the pixels is that of the stored ones, before the turn."""
    square = astronaut[:256:2, ::2]
    data = encoded_video([square[:, ::2]] * 3, range(0, 300, 100), "mp4", "libx264", Fraction(2))
    pixels = first_image(with_display_matrix(data, 0, 1, -1, 0)).pixels
    assert pixels.shape == (256, 128, 3)
    assert np.abs(pixels.astype(int) - np.rot90(square, -1)).mean() < 12


@pytest.mark.parametrize(
    ("name", "like", "mirrored"),
    [
        ("04_hflip_front_camera.mp4", "04_plain.mp4", True),
        ("05_sar_64_45.mp4", "05_square.mp4", False),
    ],
)
def test_reported_files(shared: Path, name: str, like: str, mirrored: bool) -> None:
    cases = shared / "cases"
    image, other = (first_image((cases / each).read_bytes()).pixels for each in (name, like))
    width = min(image.shape[1], other.shape[1])
    assert abs(image.shape[1] - other.shape[1]) <= 1
    if mirrored:
        image = image[:, ::-1]
    assert np.abs(image[:, :width].astype(int) - other[:, :width]).mean() < 8
