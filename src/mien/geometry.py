"""Box arithmetic in pure NumPy. Boxes are (N, 4) arrays: left, top, right, bottom in pixels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["intersection_over_union", "squared", "suppress"]

Boxes = NDArray[np.float32]
# Overlaps are computed for this many pairs at once, of at most this many boxes with all others: few
# calls for hundreds of boxes, and no square of thousands.
PAIRS = 1_000_000
BLOCK = 256


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
    ranked = boxes[order]
    alive = np.ones(len(order), dtype=bool)
    kept = []
    step = min(BLOCK, PAIRS // max(len(order), 1) + 1)
    for start in range(0, len(order), step):
        block = slice(start, start + step)
        clashes = _clashes(ranked[block], ranked[start:], threshold, pixel, of_smaller)
        for row, clash in enumerate(clashes, start):
            if alive[row]:
                kept.append(row)
                alive[start:] &= ~clash
    return order[kept]


def _clashes(
    first: Boxes, second: Boxes, threshold: float, pixel: float, of_smaller: bool
) -> NDArray[np.bool_]:
    """Return (N, M), whether boxes overlap by more than the threshold."""
    left, top, right, bottom = first.T[:, :, None]
    lefts, tops, rights, bottoms = second.T[:, None, :]
    width = np.minimum(right, rights) - np.maximum(left, lefts) + pixel
    height = np.minimum(bottom, bottoms) - np.maximum(top, tops) + pixel
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = (right - left + pixel) * (bottom - top + pixel)
    areas = (rights - lefts + pixel) * (bottoms - tops + pixel)
    whole = np.minimum(area, areas) if of_smaller else area + areas - common
    # Compared as a product: a box without area has no overlap to divide.
    clashes: NDArray[np.bool_] = common > np.float32(threshold) * whole
    return clashes


def squared(boxes: Boxes) -> Boxes:
    """Return boxes grown to squares around their centres, with the longer side."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([corner, corner + side], axis=1)


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
