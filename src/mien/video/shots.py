"""Detect the cuts of a video from thumbnails of its frames.

Like PySceneDetect's AdaptiveDetector (BSD-3-Clause, needs OpenCV): a cut is a change that is large
and much larger than the changes around it, so a fast pan is not a cut. In addition, the frames
after a cut must differ from all frames before it, so a flash is not a cut. Switching lights on or
off counts as a cut; slow transitions do not.
``python -m benchmarks.shots`` measures it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.errors import VideoError

__all__ = ["THUMBNAIL_SIDE", "Pending", "with_cuts"]

THUMBNAIL_SIDE = 32
# Mean absolute difference of two thumbnails, 0 to 255: PySceneDetect's min_content_val.
_MIN_CHANGE = 15.0
# Times the median of the changes before a cut, and of those after it.
_MIN_RATIO = 2.5
# A frame is compared with this many frames before and after it, within this distance.
_WINDOW = 4
_WINDOW_S = 0.5

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Pending(Generic[_Item]):
    """A frame that waits for those after it.

    Attributes:
        item: Whatever belongs to the frame.
        time_s: When it is displayed.
        thumbnail: (32, 32, 3) RGB as int16.
    """

    item: _Item
    time_s: float
    thumbnail: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class _Change:
    time_s: float
    thumbnail: NDArray[np.int16]
    size: float


def with_cuts(frames: Iterable[Pending[_Item]]) -> Iterator[tuple[_Item, bool]]:
    """Yield each item and whether a shot begins with it; False for the first frame.

    Yields an item when the next four frames are there, at the end, or before a VideoError of
    ``frames``.
    """
    waiting: deque[_Item] = deque()
    changes: list[_Change] = []
    source, failure = iter(frames), None
    while True:
        try:
            frame = next(source)
        except StopIteration:
            break
        except VideoError as error:
            # The frames before it are complete.
            failure = error
            break
        size = _difference(changes[-1].thumbnail, frame.thumbnail) if changes else 0.0
        changes.append(_Change(frame.time_s, frame.thumbnail, size))
        waiting.append(frame.item)
        if len(waiting) > _WINDOW:
            yield waiting.popleft(), _is_cut(changes, len(changes) - _WINDOW - 1)
            del changes[: -2 * _WINDOW]
    while waiting:
        at = len(changes) - len(waiting)
        yield waiting.popleft(), _is_cut(changes, at)
    if failure is not None:
        raise failure


def _is_cut(changes: Sequence[_Change], at: int) -> bool:
    change = changes[at]
    if at == 0 or change.size < _MIN_CHANGE:
        return False
    before = [c for c in changes[max(0, at - _WINDOW) : at] if change.time_s - c.time_s < _WINDOW_S]
    after = [c for c in changes[at + 1 : at + 1 + _WINDOW] if c.time_s - change.time_s < _WINDOW_S]
    for side in (before, after):
        if side and change.size < _MIN_RATIO * np.median([c.size for c in side]):
            return False
    return all(
        _difference(old.thumbnail, new.thumbnail) >= _MIN_CHANGE
        for old in before
        for new in (change, *after[: _WINDOW - 1])
    )


def _difference(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    return float(np.abs(first - second).mean())
