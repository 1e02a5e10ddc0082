"""YuNet: one small network without anchors, for people who bring its ONNX file.

Source: Wu, Peng, Yu 2023, "YuNet: A tiny millisecond-level face detector"; outputs decoded
as OpenCV's FaceDetectorYN does.

The usual files (OpenCV Zoo's face_detection_yunet_2023mar.onnx, libfacedetection's
yunet_n_640_640.onnx) declare pictures of 640 x 640, but nothing in their graphs depends on it: each
reshape works out the number of cells. So they are freed of it and run at any whole number of cells.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.detect.detections import Detections
from mien.detect.scale import shrunk, usual_face_size
from mien.errors import ArtifactError, ModelContractError
from mien.geometry import suppress
from mien.runtime import InferenceSession
from mien.runtime.freesize import with_free_size
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import Face, RgbImage

__all__ = ["YunetDetector"]

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
# Columns of each output: class and object score, box, five points.
COLUMNS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
OUTPUTS = tuple(f"{kind}_{stride}" for kind in COLUMNS for stride in STRIDES)
# Sides are filled up to whole cells of the largest stride.
CELL_PX = STRIDES[-1]
# The smallest face keeps this many pixels; below, few are found. Above the thresholds more are
# right than invented. Chosen with benchmarks/curves.py.
FACE_PX = 16
MIN_SCORE = 0.65
MAX_OVERLAP = 0.3
# Of larger faces the network sees only parts; they are looked for with the picture reduced by
# LEVEL_FACTOR once more. Faces of half that size are looked for at both levels, for what one of
# them measures as too small, the other may measure as too large.
LARGEST_FACE_PX = 384
LEVEL_FACTOR = 4
# Larger pictures are cut into tiles, which bounds the memory. What lies in the overlap is whole in
# one tile at least.
TILE_PX = 2048
TILE_OVERLAP_PX = LARGEST_FACE_PX


class YunetDetector:
    """Finds faces with a YuNet file, such as OpenCV Zoo's; safe to share between threads.

    The file may declare one input size: it is run at the size of each picture. The picture is
    reduced so that the smallest face keeps 16 pixels, never enlarged. ``min_face_size`` drops
    faces with both sides smaller; without it the smallest face follows the picture's size.
    threads, providers: as for OrtSession.
    Raises ArtifactError if the file can't be read or is no ONNX graph, ModelContractError if it
    is another network.
    """

    def __init__(
        self, model_file: Path, *, threads: int = 1, providers: Sequence[Provider] = CPU
    ) -> None:
        try:
            model = model_file.read_bytes()
        except OSError as error:
            raise ArtifactError(f"can't read the detector's file {model_file}") from error
        try:
            self._session = OrtSession(
                with_free_size(model), threads=threads, dynamic_shapes=True, providers=providers
            )
        except ArtifactError as error:
            raise ArtifactError(f"{model_file}: {error.message}") from error
        _check(self._session, model_file)

    def detect(
        self,
        image: RgbImage,
        *,
        min_face_size: int | None = None,
        min_score: float | None = None,
    ) -> tuple[Face, ...]:
        """Return the faces, largest box first, inside the picture."""
        faces = self.detections(image, min_face_size=min_face_size).faces(image)
        return tuple(face for face in faces if face.score >= (min_score or 0))

    def detections(self, image: RgbImage, *, min_face_size: int | None = None) -> Detections:
        """Return boxes as the network gives them, unclipped."""
        smallest = min_face_size or usual_face_size(image.height, image.width)
        factor = 1
        found = [np.empty((0, 15), dtype=np.float32)]
        for step, least, largest in _levels(image.height, image.width, smallest):
            image, factor = shrunk(image, step), factor * step
            found.append(self._level(image.pixels, least, largest) * _scaling(factor))
        rows = np.concatenate(found)
        rows = rows[suppress(rows[:, 1:5], rows[:, 0], MAX_OVERLAP)]
        rows = rows[_longer_sides(rows) >= (min_face_size or 0)]
        return Detections(rows[:, 1:5], rows[:, 0], rows[:, 5:].reshape(-1, 5, 2))

    def _level(self, pixels: NDArray[np.uint8], least: float, largest: float) -> Floats:
        """Return the rows of a reduced picture whose boxes are of these sizes, in its pixels."""
        height, width = pixels.shape[:2]
        found = [
            self._tile(pixels, top, left) for top in _starts(height) for left in _starts(width)
        ]
        rows = np.concatenate(found)
        sides = _longer_sides(rows)
        return rows[(sides >= least) & (sides <= largest)]

    def _tile(self, pixels: NDArray[np.uint8], top: int, left: int) -> Floats:
        """Return the rows of one tile whose boxes have their centres where it is the best tile."""
        rows = self._rows(pixels[top : top + TILE_PX, left : left + TILE_PX])
        rows[:, 1:] += np.tile(np.array([left, top], dtype=np.float32), 7)
        centers = (rows[:, 1:3] + rows[:, 3:5]) * np.float32(0.5)
        owned = _owned(centers[:, 0], left, pixels.shape[1])
        return rows[owned & _owned(centers[:, 1], top, pixels.shape[0])]

    def _rows(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return (N, 15): score, left, top, right, bottom, five points; pixels, unsuppressed."""
        height, width = (-(-side // CELL_PX) * CELL_PX for side in pixels.shape[:2])
        planes = np.zeros((1, 3, height, width), dtype=np.float32)
        # Blue first, from 0 to 255.
        planes[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)[::-1]
        outputs = self._session.run({self._session.inputs[0].name: planes})
        named = dict(zip((spec.name for spec in self._session.outputs), outputs, strict=True))
        found = [
            _decoded([named[f"{kind}_{stride}"][0] for kind in COLUMNS], stride, width // stride)
            for stride in STRIDES
        ]
        return np.concatenate(found)


def _levels(height: int, width: int, smallest: float) -> Iterator[tuple[int, float, float]]:
    """Yield by which whole factor to reduce the picture, and the sides of the boxes wanted there.

    Each factor comes on top of those before; sides are longer ones, least and largest, in reduced
    pixels. Nothing for a picture in which no face of that size has room.
    """
    if min(height, width) < smallest / 2:
        return
    step, least = max(int(smallest / FACE_PX), 1), 0.0
    longer = max(height, width) / step
    while longer > LARGEST_FACE_PX:
        yield step, least, LARGEST_FACE_PX
        step, least = LEVEL_FACTOR, LARGEST_FACE_PX / LEVEL_FACTOR / 2
        longer /= step
    yield step, least, math.inf


def _starts(length: int) -> range:
    """Return where tiles begin along a side."""
    return range(0, max(length - TILE_OVERLAP_PX, 1), TILE_PX - TILE_OVERLAP_PX)


def _owned(places: Floats, start: int, length: int) -> NDArray[np.bool_]:
    """Return which places are at most half an overlap outside of what is this tile's alone."""
    first = start + TILE_OVERLAP_PX / 2 if start > 0 else -math.inf
    end = start + TILE_PX - TILE_OVERLAP_PX / 2 if start + TILE_PX < length else math.inf
    return (places >= np.float32(first)) & (places < np.float32(end))


def _longer_sides(rows: Floats) -> Floats:
    sides: Floats = (rows[:, 3:5] - rows[:, 1:3]).max(axis=1)
    return sides


def _scaling(factor: int) -> Floats:
    """Return what brings rows of a reduced picture to the picture itself."""
    return np.array([1, *[factor] * 14], dtype=np.float32)


def _decoded(heads: list[Floats], stride: int, columns: int) -> Floats:
    """Return the rows of one stride that pass the threshold.

    heads: class and object score (N, 1), box (N, 4) centre and logarithm of the sides, points
    (N, 10); in cells, row by row.
    """
    scores = np.sqrt(np.clip(heads[0][:, 0], 0, 1) * np.clip(heads[1][:, 0], 0, 1))
    cells = np.flatnonzero(scores >= np.float32(MIN_SCORE))
    corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
    box, points = heads[2][cells], heads[3][cells]
    center, half = box[:, :2] + corner, np.exp(box[:, 2:]) / 2
    places = np.concatenate([center - half, center + half, points + np.tile(corner, 5)], axis=1)
    return np.concatenate([scores[cells, None], places * np.float32(stride)], axis=1)


def _check(session: InferenceSession, file: Path) -> None:
    """Run a few blank cells, so that a foreign graph is refused at start."""
    names = tuple(sorted(spec.name for spec in session.outputs))
    if names != tuple(sorted(OUTPUTS)) or len(session.inputs) != 1:
        raise ModelContractError(f"{file} is not YuNet: its outputs are {', '.join(names)}")
    # Not square: height and width must not be taken for each other.
    blank = np.zeros((1, 3, 2 * CELL_PX, 3 * CELL_PX), dtype=np.float32)
    try:
        outputs = session.run({session.inputs[0].name: blank})
    except Exception as error:  # ONNX Runtime raises plain pybind exceptions of many types
        raise ModelContractError(
            f"{file} is not YuNet: it takes no picture of {blank.shape}"
        ) from error
    for output, spec in zip(outputs, session.outputs, strict=True):
        kind, stride = spec.name.split("_")
        expected = (1, 6 * (CELL_PX // int(stride)) ** 2, COLUMNS[kind])
        if output.shape != expected:
            raise ModelContractError(f"{file} is not YuNet: {spec.name} is {output.shape}")
