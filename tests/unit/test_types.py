import math

import numpy as np
import pytest

from mien.types import Box, Landmarks, RgbImage


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 8, 3), np.uint8)[:, ::2],
    ],
    ids=["empty", "grey", "rgba", "float", "strided"],
)
def test_only_contiguous_rgb_is_an_image(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError):
        RgbImage(pixels)


def test_landmarks_are_finite() -> None:
    with pytest.raises(ValueError):
        Landmarks((1, 2), (3, 4), (5, math.nan), (7, 8), (9, 10))


@pytest.mark.parametrize(
    "edges", [(0, 0, 0, 1), (0, 5, 1, 4), (0, 0, math.nan, 1), (0, 0, math.inf, 1)]
)
def test_a_box_has_a_finite_area(edges: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = edges
    with pytest.raises(ValueError):
        Box(left=left, top=top, right=right, bottom=bottom)


@pytest.mark.parametrize(
    ("edges", "pixels"),
    [
        ((10.4, 20.6, 30.2, 40.9), (10, 21, 20, 20)),
        ((-5.0, -5.0, 5.0, 5.0), (0, 0, 5, 5)),
        ((90.0, 40.0, 200.0, 200.0), (90, 40, 10, 10)),
        ((3.2, 3.2, 3.4, 3.4), (3, 3, 1, 1)),
        ((99.6, 49.6, 99.9, 49.9), (99, 49, 1, 1)),
    ],
)
def test_whole_pixels_stay_inside_the_image(
    edges: tuple[float, float, float, float], pixels: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = edges
    assert Box(left=left, top=top, right=right, bottom=bottom).to_pixels(100, 50) == pixels


def test_landmarks_are_five_points_in_order() -> None:
    points = Landmarks((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)).to_array()
    np.testing.assert_array_equal(points, np.arange(1, 11).reshape(5, 2))
