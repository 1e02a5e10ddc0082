"""Parts of an image in which small faces are searched at full resolution.

On a smaller image, a network gives low scores to most small faces, but rarely misses them. So the
full size is searched only around these proposals, which are a small part of most photos.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien.geometry import suppress

__all__ = ["MAX_OVERLAP", "Rectangle", "rectangles_around", "unclear"]

Floats = NDArray[np.float32]
# (left, top, right, bottom) in pixels.
Rectangle = tuple[int, int, int, int]

# Longer sides in pixels of the first level: smaller faces are located better at full size, larger
# ones are found at this level. Between the two, faces with a score of CLEAR are not searched again.
SMALL_PX, LARGE_PX, CLEAR = 32, 128, 0.7
# Pixels around a face that the network needs: a share of its longer side, and a constant.
MARGIN, MARGIN_PX = 0.25, 8
# Rectangles consist of square cells. They are not divided if this share of cells is wanted.
CELL_PX, FULL = 32, 0.5
# Boxes that overlap by more show one face.
MAX_OVERLAP = 0.3


def unclear(rows: Floats) -> Floats:
    """Return boxes (N, 4) to search again at full size, in pixels of the first level.

    Args:
        rows: Proposals (N, 15) of the first level, in its pixels: score, box, points.
    """
    rows = rows[suppress(rows[:, 1:5], rows[:, 0], MAX_OVERLAP)]
    sides = (rows[:, 3:5] - rows[:, 1:3]).max(axis=1)
    again = (sides < SMALL_PX) | ((sides < LARGE_PX) & (rows[:, 0] < CLEAR))
    return rows[again, 1:5]


def rectangles_around(boxes: Floats, width: int, height: int) -> Iterator[Rectangle]:
    """Yield rectangles that contain all boxes with their margins, inside the image.

    Args:
        boxes: (N, 4) left, top, right, bottom in pixels.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
    """
    margins = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) * MARGIN + MARGIN_PX
    starts = np.floor((boxes[:, :2] - margins) / CELL_PX).astype(int).clip(min=0)
    ends = np.ceil((boxes[:, 2:] + margins) / CELL_PX).astype(int).clip(min=0)
    wanted = np.zeros((-(-height // CELL_PX), -(-width // CELL_PX)), dtype=bool)
    for (left, top), (right, bottom) in zip(starts.tolist(), ends.tolist(), strict=True):
        wanted[top:bottom, left:right] = True
    for left, top, right, bottom in _rectangles(wanted):
        yield (
            left * CELL_PX,
            top * CELL_PX,
            min(right * CELL_PX, width),
            min(bottom * CELL_PX, height),
        )


def _rectangles(wanted: NDArray[np.bool_]) -> Iterator[Rectangle]:
    """Yield rectangles that contain all wanted cells (H, W), cut at empty rows and columns."""
    parts = [(wanted, 0, 0)]
    while parts:
        part, left, top = parts.pop()
        rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            continue
        right, bottom = int(columns[-1]) + 1, int(rows[-1]) + 1
        sparse = part[rows[0] : bottom, columns[0] : right].mean() < FULL
        if sparse and (row := _first_gap(rows)):
            parts += [(part[row:], left, top + row), (part[:row], left, top)]
        elif sparse and (column := _first_gap(columns)):
            parts += [(part[:, column:], left + column, top), (part[:, :column], left, top)]
        else:
            yield (left + int(columns[0]), top + int(rows[0]), left + right, top + bottom)


def _first_gap(used: NDArray[np.intp]) -> int:
    """Return the first empty row or column between used ones, 0 if there is none."""
    gaps = np.flatnonzero(np.diff(used) > 1)
    return int(used[gaps[0]]) + 1 if len(gaps) else 0
