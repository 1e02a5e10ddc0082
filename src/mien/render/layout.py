"""Where labels go: around their faces, over as little else as possible, inside the picture."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelLayout", "Rect"]

# Left, top, right and bottom in whole pixels, the latter two exclusive.
Rect = tuple[int, int, int, int]

# Costs per share of the label. Text on text can't be read at all; on a face it hides what it
# speaks of.
_OVER_LABEL, _OVER_FACE = 4.0, 2.0
# Close to another face it seems to speak of that one.
_BESIDE_ANOTHER = 0.4
# Small next to any overlap that is seen: these decide between places that are about as free.
_PER_RANK, _PER_SIZE = 0.005, 0.06


class LabelLayout:
    """Places one label after the other in a picture of ``size_wh`` pixels."""

    def __init__(self, size_wh: tuple[int, int], faces: Sequence[Rect]) -> None:
        self._size_wh = size_wh
        self._faces = list(faces)
        self._labels: list[Rect] = []

    def place(self, sizes_wh: Sequence[tuple[int, int]], face: Rect, *, gap: int) -> Rect | None:
        """Return where the label of ``face`` covers least, and keep that place from then on.

        sizes_wh: sizes that it may have, the preferred first; gap: pixels by which places that
        don't touch the face are apart from each other.
        Returns None if no size fits the picture.
        """
        spots, costs = [], []
        for rank, size in enumerate(sizes_wh):
            room = (self._size_wh[0] - size[0], self._size_wh[1] - size[1])
            if min(room) >= 0:
                corners = np.clip(np.array(list(_around(face, size, gap))), 0, room)
                spots.append(np.hstack([corners, np.add(corners, size)]))
                costs.append(_PER_SIZE * rank + _PER_RANK * np.arange(len(corners)))
        if not spots:
            return None
        places, cost = np.vstack(spots), np.hstack(costs)
        margin = gap + sizes_wh[0][1] // 2
        others = _grown([other for other in self._faces if other != face], margin)
        cost += _OVER_LABEL * _share_covered(places, _grown(self._labels, 0))
        cost += _OVER_FACE * _share_covered(places, _grown(self._faces, 0))
        cost += _BESIDE_ANOTHER * _share_covered(places, others)
        left, top, right, bottom = places[int(cost.argmin())].tolist()
        self._labels.append((left, top, right, bottom))
        return left, top, right, bottom


def _around(face: Rect, size_wh: tuple[int, int], gap: int) -> Iterator[tuple[int, int]]:
    """Yield top-left corners around the face, the preferred first, then further away."""
    left, top, right, bottom = face
    width, height = size_wh
    columns = (left, (left + right - width) // 2, right - width)
    rows = (top, (top + bottom - height) // 2, bottom - height)
    for away in (0, height // 2 + gap, height + 2 * gap, 2 * height + 3 * gap):
        yield from ((x, top - height - away) for x in columns)
        yield from ((x, bottom + away) for x in columns)
        yield from ((right + away, y) for y in rows)
        yield from ((left - width - away, y) for y in rows)


def _grown(rectangles: Sequence[Rect], margin: int) -> NDArray[np.int64]:
    """Return (N, 4) corners, each rectangle larger by ``margin`` on every side; N may be 0."""
    corners = np.array(rectangles, dtype=np.int64).reshape(-1, 4)
    grown: NDArray[np.int64] = corners + np.array([-margin, -margin, margin, margin])
    return grown


def _share_covered(places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each of (N, 4) places the area that it shares with (M, 4) others, over its own.

    Where others lie on each other, each counts.
    """
    low = np.maximum(places[:, None, :2], others[None, :, :2])
    high = np.minimum(places[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2).sum(axis=1)
    share: NDArray[np.float64] = shared / np.prod(places[:, 2:] - places[:, :2], axis=1)
    return share
