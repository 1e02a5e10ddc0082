"""Rectangles of the full size that are searched around proposals of the half size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.detect.full_resolution import rectangles_around, unclear

Floats = NDArray[np.float32]
WIDTH, HEIGHT = 1000, 700


def boxes_of(*boxes: tuple[float, ...]) -> Floats:
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def area(rectangles: list[tuple[int, int, int, int]]) -> int:
    return sum((right - left) * (bottom - top) for left, top, right, bottom in rectangles)


def test_no_box_gives_no_rectangle() -> None:
    assert list(rectangles_around(boxes_of(), WIDTH, HEIGHT)) == []


def test_distant_boxes_have_rectangles_of_their_own() -> None:
    boxes = boxes_of((10, 10, 40, 40), (900, 20, 930, 50), (20, 600, 50, 640))
    rectangles = list(rectangles_around(boxes, WIDTH, HEIGHT))
    assert len(rectangles) == 3
    assert area(rectangles) < WIDTH * HEIGHT / 10


def test_boxes_side_by_side_share_a_rectangle() -> None:
    boxes = boxes_of((100, 100, 160, 160), (165, 100, 225, 160))
    assert len(list(rectangles_around(boxes, WIDTH, HEIGHT))) == 1


def test_a_crowd_is_searched_whole() -> None:
    boxes = boxes_of(
        *((x, y, x + 40, y + 40) for x in range(0, 1000, 60) for y in range(0, 700, 60))
    )
    assert list(rectangles_around(boxes, WIDTH, HEIGHT)) == [(0, 0, WIDTH, HEIGHT)]


def test_a_panorama_of_many_faces() -> None:
    boxes = boxes_of(*((320 * n, 10, 320 * n + 40, 50) for n in range(1200)))
    rectangles = list(rectangles_around(boxes, 320 * 1200, 60))
    assert len(rectangles) == 1200
    assert rectangles == sorted(rectangles)


corner = st.tuples(st.floats(-50, WIDTH), st.floats(-50, HEIGHT), st.floats(4, 190))


@given(st.lists(corner, max_size=30))
def test_each_box_is_whole_in_one_rectangle(corners: list[tuple[float, float, float]]) -> None:
    """Nothing that a rectangle cuts off could be found, and none reaches over the image's edge."""
    boxes = boxes_of(*((x, y, x + side, y + side) for x, y, side in corners))
    rectangles = list(rectangles_around(boxes, WIDTH, HEIGHT))
    for left, top, right, bottom in rectangles:
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
    inside = np.clip(boxes, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    for left, top, right, bottom in inside[(inside[:, 2:] > inside[:, :2]).all(axis=1)].tolist():
        assert any(
            x0 <= left and y0 <= top and right <= x1 and bottom <= y1
            for x0, y0, x1, y1 in rectangles
        )


@pytest.mark.parametrize(
    ("score", "side", "again"),
    [
        (0.1, 10, True),
        (0.95, 10, True),  # located better at full size
        (0.95, 30, True),
        (0.95, 35, False),
        (0.6, 65, True),
        (0.6, 125, True),
        (0.6, 130, False),
    ],
)
def test_small_and_doubtful_faces_are_looked_at_again(
    score: float, side: float, again: bool
) -> None:
    row = np.array([[score, 10, 10, 10 + side, 10 + side, *[10] * 10]], dtype=np.float32)
    assert len(unclear(row)) == again


def test_of_overlapping_proposals_the_best_counts() -> None:
    rows = np.array(
        [[0.2, 12, 10, 152, 150, *[10] * 10], [0.9, 10, 10, 150, 150, *[10] * 10]], dtype=np.float32
    )
    assert len(unclear(rows)) == 0
