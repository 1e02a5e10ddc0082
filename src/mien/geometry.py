"""Box arithmetic in pure NumPy. Boxes are (N, 4) arrays: left, top, right, bottom in pixels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien.deadline import check_deadline

__all__ = ["intersection_over_union", "squared", "suppress", "whole_pixels"]

Boxes = NDArray[np.float32]
# Overlaps are computed for this many pairs at once: few calls, and no square of thousands.
PAIRS = 250_000


def suppress(
    boxes: Boxes,
    scores: NDArray[np.float32],
    threshold: float,
    *,
    pixel: float = 0.0,
    of_smaller: bool = False,
) -> NDArray[np.intp]:
    """Return the indices that greedy non-maximum suppression keeps, best score first.

    threshold: boxes that overlap a better one by more are dropped; overlap is the intersection
    over the union, or over the smaller box with ``of_smaller``.
    pixel: added to every width and height; 1 for boxes whose right and bottom are inclusive.
    Equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order
    better, worse = _clashes(boxes[order], threshold, pixel, of_smaller)
    alive = [True] * len(order)
    for row, loser in zip(better.tolist(), worse.tolist(), strict=True):
        if alive[row]:
            alive[loser] = False
    return order[alive]


def _clashes(
    boxes: Boxes, threshold: float, pixel: float, of_smaller: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of boxes that overlap by more than the threshold, as two columns.

    The first of a pair has the smaller index; pairs are sorted by it.
    """
    found = [np.empty((0, 2), dtype=np.intp)]
    for first, second in _neighbors(boxes, pixel):
        # Hundreds of thousands of boxes take minutes.
        check_deadline()
        left, top, right, bottom = boxes[first].T
        lefts, tops, rights, bottoms = boxes[second].T
        width = np.minimum(right, rights) - np.maximum(left, lefts) + pixel
        height = np.minimum(bottom, bottoms) - np.maximum(top, tops) + pixel
        common = np.maximum(width, 0) * np.maximum(height, 0)
        area = (right - left + pixel) * (bottom - top + pixel)
        areas = (rights - lefts + pixel) * (bottoms - tops + pixel)
        whole = np.minimum(area, areas) if of_smaller else area + areas - common
        # Compared as a product: a box without area has no overlap to divide.
        clash = common > np.float32(threshold) * whole
        found.append(np.sort(np.stack([first[clash], second[clash]], axis=1), axis=1))
    pairs = np.concatenate(found)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return pairs[:, 0], pairs[:, 1]


def _neighbors(boxes: Boxes, pixel: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield batches of index pairs: boxes that overlap on the axis on which boxes spread more."""
    axis = int(np.argmax(np.ptp(boxes[:, :2], axis=0)))
    order = np.argsort(boxes[:, axis])
    starts, ends = boxes[order, axis], boxes[order, axis + 2] + np.float32(pixel)
    # In the order of their starts, a box meets those after it that start before it ends.
    counts = np.maximum(np.searchsorted(starts, ends) - np.arange(1, len(order) + 1), 0)
    total = np.cumsum(counts)
    pieces = np.searchsorted(total, np.arange(PAIRS, total[-1], PAIRS))
    for piece in np.split(np.arange(len(order)), pieces):
        count = counts[piece]
        first = np.repeat(piece, count)
        within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
        yield order[first], order[first + 1 + within]


def squared(boxes: Boxes) -> Boxes:
    """Return boxes grown to squares around their centers, with the longer side."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([corner, corner + side], axis=1)


def whole_pixels(boxes: Boxes, width: int, height: int) -> NDArray[np.intp]:
    """Return the pixels of boxes as MTCNN crops them, cut at the image's edge.

    Args:
        boxes: (N, 4), 1-based and inclusive.
        width: Pixels of the image.
        height: Pixels of the image.

    Returns:
        (N, 4) edges, 0-based, right and bottom exclusive.
    """
    edges = np.trunc(boxes).astype(np.intp)
    edges[:, :2] = np.maximum(edges[:, :2], 1) - 1
    edges[:, 2:] = np.minimum(edges[:, 2:], (width, height))
    return edges


def intersection_over_union(first: NDArray[np.floating], second: NDArray[np.floating]) -> Boxes:
    """Return (N, M) overlaps of boxes (N, 4) with boxes (M, 4), 0 to 1."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(end - corner, 0, None).prod(axis=2)
    area_first = (first[:, 2:] - first[:, :2]).prod(axis=1)
    area_second = (second[:, 2:] - second[:, :2]).prod(axis=1)
    union = area_first[:, None] + area_second[None, :] - common
    overlap: Boxes = (common / np.maximum(union, 1e-9)).astype(np.float32)
    return overlap
