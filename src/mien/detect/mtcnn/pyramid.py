"""The pyramid of an image and crops of it, resampled exactly as in facenet-pytorch.

Each output pixel is the mean of the source pixels from ``floor(i * in / out)`` up to
``ceil((i + 1) * in / out)``, so neighboring windows share a pixel. Sums come from a summed-area
table: four lookups per pixel at any scale. Source: Crow 1984, "Summed-area tables for texture
mapping"; the windows are those of adaptive average pooling.
"""

import math
import threading
from abc import ABC, abstractmethod
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien.types import RgbImage

__all__ = [
    "AreaTable",
    "LargeImage",
    "Pyramid",
    "Scratch",
    "level_size",
    "pyramid_scales",
]

Pixels = NDArray[np.float32]
MAX_KEPT = 4 * 2_200_000
# The sums of a pixel are padded to four: NumPy gathers and moves items of 16 bytes (as one complex
# number) two to three times as fast as items of 12.
CHANNELS = 4
_ITEM = np.dtype(np.complex128)
PART_PIXELS = 2_000_000
# Side of P-Net's input window.
WINDOW_PX = 12


def pyramid_scales(height: int, width: int, min_face_size: float, factor: float) -> list[float]:
    """Return the scales of the pyramid, largest first; empty if the image is too small.

    At the first scale, a face of ``min_face_size`` pixels fills P-Net's window.
    """
    scale = WINDOW_PX / min_face_size
    shorter = min(height, width) * scale
    scales = []
    while shorter >= WINDOW_PX:
        scales.append(scale)
        scale *= factor
        shorter *= factor
    return scales


def level_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return the size of the level at this scale."""
    return int(height * scale + 1), int(width * scale + 1)


class Scratch(threading.local):
    """Memory that each thread reuses from image to image.

    The operating system provides new memory page by page, which takes as long as the computation.
    Memory for images larger than full HD is not kept.
    """

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[np.uint32]] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint32]:
        """Return an uninitialized array, valid until the thread requests the same name again."""
        size = math.prod(shape)
        if size > MAX_KEPT:
            return np.empty(shape, dtype=np.uint32)
        if name not in self._kept or self._kept[name].size < size:
            self._kept[name] = np.empty(size, dtype=np.uint32)
        return self._kept[name][:size].reshape(shape)


class Pyramid(ABC):
    """An image resampled with the baseline's windows."""

    height: int
    width: int

    def resized(self, height: int, width: int, first: int = 0, last: int | None = None) -> Pixels:
        """Return rows ``first`` up to ``last`` of the image at a size.

        They are (1, 3, last - first, width), 0 to 255.
        """
        left, right = _windows(0, self.width, width)
        top, bottom = (edges[first:last] for edges in _windows(0, self.height, height))
        return self.means(top, bottom, left, right)

    @abstractmethod
    def means(
        self,
        top: NDArray[np.intp],
        bottom: NDArray[np.intp],
        left: NDArray[np.intp],
        right: NDArray[np.intp],
    ) -> Pixels:
        """Return (1, 3, a, b): means of windows with these edges, rows (a,) and columns (b,)."""

    @abstractmethod
    def crops(self, edges: NDArray[np.intp], size_px: int) -> Pixels:
        """Return (N, 3, size_px, size_px), 0 to 255, of whole-pixel boxes (N, 4).

        edges: left, top, right, bottom; inside the image, right and bottom exclusive.
        """


class AreaTable(Pyramid):
    """Summed-area table of an image (H, W, 3) uint8; valid until the scratch is used again.

    Sums are kept modulo 2**32: differences are exact as long as a window's sum is below that,
    which is true up to 16 million pixels per window.
    """

    def __init__(self, pixels: NDArray[np.uint8], scratch: Scratch) -> None:
        self.height, self.width = pixels.shape[:2]
        # Running sums along the first axis add whole rows, which is several times faster than along
        # other axes. The table is therefore transposed in between, and stays (W + 1, H + 1, 4).
        self._sums = scratch.array("sums", (self.width + 1, self.height + 1, CHANNELS))
        self._sums[0] = 0
        # Large images are processed in column blocks, which avoids a second table of the full size.
        step = max(MAX_KEPT // CHANNELS // (self.height + 1), 1)
        for left in range(0, self.width, step):
            part = pixels[:, left : left + step]
            down = scratch.array("down", (self.height + 1, part.shape[1], CHANNELS))
            down[0] = 0
            down[1:, :, :3] = part
            _sum_rows(down)
            sums = self._sums.view(_ITEM)[left + 1 : left + 1 + part.shape[1]]
            sums[:, :, 0] = down.view(_ITEM)[:, :, 0].T
        _sum_rows(self._sums)

    def means(
        self,
        top: NDArray[np.intp],
        bottom: NDArray[np.intp],
        left: NDArray[np.intp],
        right: NDArray[np.intp],
    ) -> Pixels:
        # Only the part of the table between the first and last window.
        part = self._sums[:, top[0] : bottom[-1] + 1]
        across = part[right]
        across -= part[left]
        sums = np.take(across, bottom - top[0], axis=1)
        sums -= np.take(across, top - top[0], axis=1)
        return _means(sums.transpose(2, 1, 0)[None], bottom - top, right - left)

    def crops(self, edges: NDArray[np.intp], size_px: int) -> Pixels:
        left, right = _windows(edges[:, 0:1], edges[:, 2:3], size_px)
        top, bottom = _windows(edges[:, 1:2], edges[:, 3:4], size_px)
        table = self._sums.reshape(-1, CHANNELS)
        stride = self.height + 1
        left_at, right_at = left[:, None, :] * stride, right[:, None, :] * stride
        sums = np.take(table, right_at + bottom[:, :, None], axis=0)
        sums -= np.take(table, right_at + top[:, :, None], axis=0)
        sums -= np.take(table, left_at + bottom[:, :, None], axis=0)
        sums += np.take(table, left_at + top[:, :, None], axis=0)
        return _means(sums.transpose(0, 3, 1, 2), bottom - top, right - left)


class LargeImage(Pyramid):
    """Gives the same results as AreaTable, from temporary tables of parts of the image.

    Slower, but needs less memory: a full table takes 16 bytes per pixel, 800 MB for 50 megapixels.
    """

    def __init__(self, image: RgbImage) -> None:
        self.height, self.width = image.height, image.width
        self._image = image

    def means(
        self,
        top: NDArray[np.intp],
        bottom: NDArray[np.intp],
        left: NDArray[np.intp],
        right: NDArray[np.intp],
    ) -> Pixels:
        # Limit the rows of windows, so that their part of the image stays small.
        pixels = (bottom[-1] - top[0]) * (right[-1] - left[0])
        step = max(PART_PIXELS * len(top) // int(pixels), 1)
        strips = []
        for at in range(0, len(top), step):
            strip = slice(at, at + step)
            rows = self._image.part(left[0], top[at], right[-1], bottom[strip][-1])
            means = AreaTable(rows, Scratch()).means
            upper, lower = top[strip] - top[at], bottom[strip] - top[at]
            strips.append(means(upper, lower, left - left[0], right - left[0]))
        return np.concatenate(strips, axis=2)

    def crops(self, edges: NDArray[np.intp], size_px: int) -> Pixels:
        parts = [
            self.means(*_windows(top, bottom, size_px), *_windows(left, right, size_px))
            for left, top, right, bottom in edges.tolist()
        ]
        return np.concatenate(parts)


def _sum_rows(table: NDArray[np.uint32]) -> None:
    rows = list(table.reshape(len(table), -1))
    for previous, row in pairwise(rows):
        np.add(previous, row, out=row)


def _means(sums: NDArray[np.uint32], heights: NDArray[np.intp], widths: NDArray[np.intp]) -> Pixels:
    """Return means (N, 3, a, b) of sums (N, 4, a, b) over windows (N, a) high and (N, b) wide."""
    means = np.empty((len(sums), 3, *sums.shape[2:]), dtype=np.float32)
    means[:] = sums[:, :3]
    means *= (1 / heights).astype(np.float32)[..., None, :, None]
    means *= (1 / widths).astype(np.float32)[..., None, None, :]
    return means


def _windows(
    start: NDArray[np.intp] | int, end: NDArray[np.intp] | int, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return start and end of each of ``count`` windows between ``start`` and ``end``."""
    steps = np.arange(count, dtype=np.intp)
    length = np.asarray(end, dtype=np.intp) - start
    return start + steps * length // count, start - (-(steps + 1) * length // count)
