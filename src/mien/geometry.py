"""Box arithmetic in pure NumPy. Boxes are (N, 4) arrays: left, top, right, bottom in pixels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["intersection_over_union", "squared", "suppress"]

Boxes = NDArray[np.float32]


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
    left, top, right, bottom = boxes[order].T
    area = (right - left + pixel) * (bottom - top + pixel)
    alive = np.ones(len(order), dtype=bool)
    kept = []
    for best in range(len(order)):
        if not alive[best]:
            continue
        kept.append(best)
        rest = slice(best + 1, None)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + pixel
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + pixel
        common = np.maximum(width, 0) * np.maximum(height, 0)
        if of_smaller:
            whole = np.minimum(area[best], area[rest])
        else:
            whole = area[best] + area[rest] - common
        # Compared as a product: a box without area has no overlap to divide.
        alive[rest] &= common <= np.float32(threshold) * whole
    return order[kept]


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
