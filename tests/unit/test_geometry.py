from typing import Any

import numpy as np
import pytest

from mien import geometry
from mien.deadline import Deadline
from mien.errors import DeadlineExceededError
from mien.geometry import intersection_over_union, squared, suppress

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [2, 2, 6, 6]], dtype=np.float32)
SCORES = np.array([0.8, 0.9, 0.7, 0.6], dtype=np.float32)


def test_empty_input() -> None:
    empty = np.empty((0, 4), dtype=np.float32)
    assert suppress(empty, empty[:, 0], 0.5).tolist() == []
    assert squared(empty).shape == (0, 4)
    assert intersection_over_union(empty, BOXES).shape == (0, 4)


@pytest.mark.parametrize(
    ("threshold", "of_smaller", "kept"),
    [
        (0.5, False, [1, 2, 3]),
        (0.9, False, [1, 0, 2, 3]),
        (0.1, False, [1, 2]),
        (0.7, True, [1, 2]),  # the small box lies inside the best one
    ],
)
def test_suppression(threshold: float, of_smaller: bool, kept: list[int]) -> None:
    assert suppress(BOXES, SCORES, threshold, of_smaller=of_smaller).tolist() == kept


def test_equal_scores_keep_their_order() -> None:
    same = np.repeat(BOXES[:1], 3, axis=0)
    assert suppress(same, np.ones(3, dtype=np.float32), 0.5).tolist() == [0]


def test_inclusive_pixels_overlap_more() -> None:
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1]], dtype=np.float32)
    scores = np.array([0.9, 0.8], dtype=np.float32)
    assert suppress(boxes, scores, 0.3).tolist() == [0, 1]
    assert suppress(boxes, scores, 0.3, pixel=1.0).tolist() == [0]


def test_boxes_without_area() -> None:
    points = np.zeros((3, 4), dtype=np.float32)
    assert suppress(points, np.ones(3, dtype=np.float32), 0.5).tolist() == [0, 1, 2]


def test_suppression_ends_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceededError), Deadline.after(-1).observed():
        suppress(BOXES, SCORES, 0.5)


@pytest.mark.parametrize("options", [{}, {"pixel": 1.0, "of_smaller": True}])
@pytest.mark.parametrize("size", [(300, 300), (3000, 20), (20, 3000)])
def test_suppression_of_many_boxes_is_greedy(
    size: tuple[int, int], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "PAIRS", 100)  # so that pairs come in several pieces
    random = np.random.default_rng(0)
    corner = random.integers(0, size, (300, 2))
    boxes = np.hstack([corner, corner + random.integers(1, 60, (300, 2))]).astype(np.float32)
    scores = random.integers(0, 20, 300).astype(np.float32)  # many are equal
    best_first = np.argsort(-scores, kind="stable").tolist()
    expected: list[int] = []
    for index in best_first:
        if all(overlap(boxes[index], boxes[other], **options) <= 0.437 for other in expected):
            expected.append(index)
    assert suppress(boxes, scores, 0.437, **options).tolist() == expected


def overlap(
    first: np.ndarray, second: np.ndarray, *, pixel: float = 0.0, of_smaller: bool = False
) -> float:
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]) + pixel
    common = np.maximum(sides, 0).prod()
    areas = [(box[2:] - box[:2] + pixel).prod() for box in (first, second)]
    return float(common / (min(areas) if of_smaller else sum(areas) - common))


def test_squares_keep_the_center_and_the_longer_side() -> None:
    np.testing.assert_allclose(
        squared(np.array([[0, 0, 10, 4], [0, 0, 2, 8]], dtype=np.float32)),
        [[0, -3, 10, 7], [-3, 0, 5, 8]],
    )


def test_overlaps() -> None:
    overlaps = intersection_over_union(BOXES[:1], BOXES)
    np.testing.assert_allclose(overlaps, [[1, 90 / 110, 0, 16 / 100]], rtol=1e-6)
