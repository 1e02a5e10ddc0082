"""Placement of labels: near their faces, inside the image, with little overlap."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelLayout", "Rect"]

# Left, top, right and bottom in whole pixels; right and bottom are exclusive.
Rect = tuple[int, int, int, int]

# Costs for a label that overlaps with its whole area. Overlapping labels are illegible, which is
# worse than hiding a face.
_LABEL_OVERLAP_COST, _FACE_OVERLAP_COST = 4.0, 2.0
# A label close to another face seems to belong to that one.
_OTHER_FACE_COST = 0.4
# Small next to any visible overlap: these decide between places that are about equally free.
_POSITION_COST, _SIZE_COST = 0.005, 0.06


class LabelLayout:
    """Places labels one after the other and remembers where they are."""

    def __init__(self, size_wh: tuple[int, int], faces: Sequence[Rect]) -> None:
        """Start without labels.

        Args:
            size_wh: Width and height of the image in pixels.
            faces: Boxes of all faces.
        """
        self._size_wh = size_wh
        self._faces = list(faces)
        self._labels: list[Rect] = []

    def place(self, sizes_wh: Sequence[tuple[int, int]], face: Rect, *, gap: int) -> Rect | None:
        """Choose and reserve the position and size at which the label of a face covers the least.

        Args:
            sizes_wh: Possible widths and heights, the preferred one first.
            face: Box of the face.
            gap: Pixels between positions that do not touch the face.

        Returns:
            The label's rectangle; None if no size fits the image.
        """
        candidates, costs = [], []
        for rank, size in enumerate(sizes_wh):
            room = (self._size_wh[0] - size[0], self._size_wh[1] - size[1])
            if min(room) >= 0:
                corners = np.clip(np.array(list(_around(face, size, gap))), 0, room)
                candidates.append(np.hstack([corners, np.add(corners, size)]))
                costs.append(_SIZE_COST * rank + _POSITION_COST * np.arange(len(corners)))
        if not candidates:
            return None
        rects, cost = np.vstack(candidates), np.hstack(costs)
        margin = gap + sizes_wh[0][1] // 2
        others = _grown([other for other in self._faces if other != face], margin)
        cost += _LABEL_OVERLAP_COST * _share_covered(rects, _grown(self._labels, 0))
        cost += _FACE_OVERLAP_COST * _share_covered(rects, _grown(self._faces, 0))
        cost += _OTHER_FACE_COST * _share_covered(rects, others)
        left, top, right, bottom = rects[int(cost.argmin())].tolist()
        self._labels.append((left, top, right, bottom))
        return left, top, right, bottom


def _around(face: Rect, size_wh: tuple[int, int], gap: int) -> Iterator[tuple[int, int]]:
    """Yield top left corners around the face, the preferred ones first, then further away."""
    left, top, right, bottom = face
    width, height = size_wh
    columns = (left, (left + right - width) // 2, right - width)
    rows = (top, (top + bottom - height) // 2, bottom - height)
    for distance in (0, height // 2 + gap, height + 2 * gap, 2 * height + 3 * gap):
        yield from ((x, top - height - distance) for x in columns)
        yield from ((x, bottom + distance) for x in columns)
        yield from ((right + distance, y) for y in rows)
        yield from ((left - width - distance, y) for y in rows)


def _grown(rectangles: Sequence[Rect], margin: int) -> NDArray[np.int64]:
    """Return an (N, 4) array of rectangles grown by ``margin`` on every side; N may be 0."""
    corners = np.array(rectangles, dtype=np.int64).reshape(-1, 4)
    grown: NDArray[np.int64] = corners + np.array([-margin, -margin, margin, margin])
    return grown


def _share_covered(rects: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the share of each rectangle's area that others cover.

    Args:
        rects: (N, 4) rectangles.
        others: (M, 4) rectangles; where they overlap each other, each of them counts.

    Returns:
        (N,) covered area divided by the rectangle's area.
    """
    low = np.maximum(rects[:, None, :2], others[None, :, :2])
    high = np.minimum(rects[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2).sum(axis=1)
    share: NDArray[np.float64] = shared / np.prod(rects[:, 2:] - rects[:, :2], axis=1)
    return share
