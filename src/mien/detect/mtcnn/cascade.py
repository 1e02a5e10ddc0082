"""The three stages of MTCNN on arrays; each filters and refines the boxes of the previous one.

Boxes are 1-based with inclusive ends, as in the networks' training and in facenet-pytorch.
Used as edges, as is usual with facenet-pytorch, left and top are one pixel too far inside.
Source: Zhang et al. 2016, arXiv 1604.02878; behavior as facenet-pytorch 2.6.0.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.detect.mtcnn.pyramid import (
    WINDOW_PX,
    AreaTable,
    LargeImage,
    Pyramid,
    Scratch,
    level_size,
    pyramid_scales,
)
from mien.geometry import squared, suppress, whole_pixels
from mien.runtime.ort import OrtSession
from mien.types import RgbImage

__all__ = ["Cascade"]

Floats = NDArray[np.float32]

# P-Net halves the resolution once.
STRIDE_PX = 2
# facenet-pytorch's settings: scale factor between levels of the pyramid, score thresholds of P- and
# R-Net, and IoU thresholds of non-maximum suppression.
FACTOR = 0.709
PNET_SCORE, RNET_SCORE = 0.6, 0.7
OVERLAP_IN_SCALE, OVERLAP_OF_CANDIDATES, OVERLAP_OF_FACES = 0.5, 0.7, 0.7
# A table takes 16 bytes per pixel.
MAX_TABLE_PIXELS = 16_000_000
# Pixels of a level, and (below) crops in a batch. They fit into the processor's cache, which is up
# to twice as fast and bounds memory.
STRIP_PIXELS = 40_000
# Minimum rows of windows in a strip of a wide level, since strips overlap by almost a window.
LEAST_ROWS = 12
# Only this many windows of a level, those with the best scores, are kept. This bounds memory for
# images full of tiny faces.
MAX_HITS = 200_000
RNET_BATCH = 16
ONET_BATCH = 4


class CropNetwork:
    """A network on crops: R- or O-Net."""

    def __init__(self, session: OrtSession, batch: int) -> None:
        self._session = session
        self._batch = batch
        self._size_px = session.inputs[0].shape[-1] or 0
        self._columns = session.outputs[0].shape[-1] or 0

    def run(self, pyramid: Pyramid, boxes: Floats, threshold: float) -> tuple[Floats, Floats]:
        """Return the boxes above the threshold with their rows: score, then the rest."""
        edges = whole_pixels(boxes, pyramid.width, pyramid.height)
        visible = (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
        boxes, edges = boxes[visible], edges[visible]
        rows = np.empty((len(edges), self._columns), dtype=np.float32)
        for at in range(0, len(edges), self._batch):
            batch = slice(at, at + self._batch)
            rows[batch] = _scored(self._session, pyramid.crops(edges[batch], self._size_px))
        passed = rows[:, 0] > np.float32(threshold)
        return boxes[passed], rows[passed]


class Cascade:
    """P-, R- and O-Net, one after the other; safe to share between threads."""

    def __init__(self, pnet: OrtSession, rnet: OrtSession, onet: OrtSession) -> None:
        self._pnet = pnet
        self._rnet, self._onet = CropNetwork(rnet, RNET_BATCH), CropNetwork(onet, ONET_BATCH)
        self._scratch = Scratch()

    def detect(self, image: RgbImage, min_face_size: float, min_score: float) -> Floats:
        """Return rows (N, 15) of the faces of an image: score, box, five points.

        Args:
            image: The image.
            min_face_size: Pixels; the pyramid's first level shows such a face in P-Net's window.
            min_score: O-Net's threshold.
        """
        pyramid = self.pyramid(image)
        boxes = self.propose(pyramid, min_face_size)
        return self.output(pyramid, self.refine(pyramid, boxes), min_score)

    def pyramid(self, image: RgbImage) -> Pyramid:
        """Return the image as an input of the networks, by its size."""
        if image.height * image.width > MAX_TABLE_PIXELS:
            return LargeImage(image)
        return AreaTable(image.pixels, self._scratch)

    def propose(self, pyramid: Pyramid, min_face_size: float) -> Floats:
        """Return P-Net's candidates (N, 4) of all scales, corrected and squared."""
        height, width = pyramid.height, pyramid.width
        scales = pyramid_scales(height, width, min_face_size, FACTOR)
        sizes = [level_size(height, width, scale) for scale in scales]
        hits = [_best(self._hits(pyramid, *size)) for size in sizes]
        rows = _candidates(hits, scales)
        rows = rows[suppress(rows[:, :4], rows[:, 4], OVERLAP_OF_CANDIDATES)]
        sides = np.tile(rows[:, 2:4] - rows[:, :2], 2)
        return squared(rows[:, :4] + rows[:, 5:] * sides)

    def _hits(self, pyramid: Pyramid, height: int, width: int) -> Iterator[Floats]:
        """Yield the windows above the threshold in each strip of a level."""
        for first, last in _strips(height, width):
            maps = _scored(self._pnet, pyramid.resized(height, width, first, last))[0]
            yield _above(maps, PNET_SCORE, first // STRIDE_PX)

    def refine(self, pyramid: Pyramid, boxes: Floats) -> Floats:
        """Return the candidates that R-Net keeps, corrected and squared."""
        boxes, rows = self._rnet.run(pyramid, boxes, RNET_SCORE)
        kept = suppress(boxes, rows[:, 0], OVERLAP_OF_CANDIDATES)
        return squared(_corrected(boxes[kept], rows[kept, 1:5]))

    def output(self, pyramid: Pyramid, boxes: Floats, min_score: float) -> Floats:
        """Return rows (N, 15) of the faces that O-Net keeps."""
        boxes, rows = self._onet.run(pyramid, boxes, min_score)
        corner, sides = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2] + 1
        points = np.stack([rows[:, 5:10], rows[:, 10:15]], axis=2)
        landmarks = points * sides + corner - 1
        boxes = _corrected(boxes, rows[:, 1:5])
        kept = suppress(boxes, rows[:, 0], OVERLAP_OF_FACES, pixel=1.0, of_smaller=True)
        parts = [rows[:, :1], boxes, landmarks.reshape(-1, 10)]
        return np.concatenate(parts, axis=1)[kept]


def _scored(session: OrtSession, pixels: Floats) -> Floats:
    """Return a network's output for pixels, with scores instead of logits in column or map 0.

    Further columns or maps: the box's correction (4), and O-Net's landmarks (10).
    """
    rows: Floats = session.run({session.inputs[0].name: pixels})[0]
    # Scores, not logits, decide the order in suppression: in single precision many are
    # equal near 1, and the baseline breaks such ties by position.
    rows[:, 0] = 1 / (1 + np.exp(-rows[:, 0]))
    return rows


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield first and last row of strips that cover all of P-Net's rows exactly once."""
    rows = max((STRIP_PIXELS // width - WINDOW_PX) // STRIDE_PX + 1, LEAST_ROWS)
    step = rows * STRIDE_PX
    for first in range(0, height, step):
        last = first + step - STRIDE_PX + WINDOW_PX
        # The rest is smaller than a window.
        done = last + STRIDE_PX > height
        yield first, height if done else last
        if done:
            return


def _above(maps: Floats, threshold: float, first_row: int = 0) -> Floats:
    """Return (N, 7) of the windows above the threshold: column, row, maps.

    maps: Output of P-Net, (5, h, w): score and box correction of each window.
    """
    y, x = np.nonzero(maps[0] >= np.float32(threshold))
    return np.concatenate([x[None], y[None] + first_row, maps[:, y, x]], dtype=np.float32).T


def _best(strips: Iterable[Floats]) -> Floats:
    """Return the hits of a level in order, limited to the MAX_HITS best scores."""
    kept, count = [np.empty((0, 7), dtype=np.float32)], 0
    for hits in strips:
        kept.append(hits)
        count += len(hits)
        if count > MAX_HITS:
            rows = np.concatenate(kept)
            best = np.argpartition(-rows[:, 2], MAX_HITS)[:MAX_HITS]
            kept, count = [rows[np.sort(best)]], MAX_HITS
    return np.concatenate(kept)


def _candidates(hits: Sequence[Floats], scales: Sequence[float]) -> Floats:
    """Return (N, 9) rows: box, score, box correction; suppressed within each scale."""
    counts = [len(rows) for rows in hits]
    rows = np.concatenate([np.empty((0, 7), dtype=np.float32), *hits])
    scale = np.repeat(np.asarray(scales, dtype=np.float32), counts)[:, None]
    place = rows[:, :2] * STRIDE_PX
    # 1-based: the window's first pixel is 1, its last one WINDOW_PX.
    boxes = np.floor(np.concatenate([place + 1, place + WINDOW_PX], axis=1) / scale)
    # Suppress all scales in one call; offsets keep boxes of different scales apart.
    offset = np.repeat(np.arange(len(scales), dtype=np.float32), counts) * boxes.max(initial=0)
    kept = suppress(boxes + offset[:, None], rows[:, 2], OVERLAP_IN_SCALE)
    return np.concatenate([boxes, rows[:, 2:]], axis=1)[kept]


def _corrected(boxes: Floats, correction: Floats) -> Floats:
    sides = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    return boxes + correction * sides
