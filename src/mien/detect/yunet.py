"""YuNet: one small network without anchors, for people who bring its ONNX file.

Source: Wu, Peng, Yu 2023, "YuNet: A tiny millisecond-level face detector"; outputs decoded
as OpenCV's FaceDetectorYN does.
"""

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
# right than invented. Chosen with benchmarks/recall.py.
FACE_PX = 16
MIN_SCORE = 0.65
MAX_OVERLAP = 0.3


class YunetDetector:
    """Finds faces with a YuNet file, such as OpenCV Zoo's; safe to share between threads.

    The file may declare one input size: it is run at the size of each picture. ``min_face_size``
    drops faces with both sides smaller.
    threads: ONNX Runtime threads per run.
    Raises ArtifactError if the file can't be read or is no ONNX graph, ModelContractError if it
    is another network.
    """

    def __init__(self, model_file: Path, *, threads: int = 1) -> None:
        try:
            model = model_file.read_bytes()
        except OSError as error:
            raise ArtifactError(f"can't read the detector's file {model_file}") from error
        self._session = OrtSession(with_free_size(model), threads=threads, dynamic_shapes=True)
        _check(self._session, model_file)

    def detect(self, image: RgbImage, *, min_face_size: int | None = None) -> tuple[Face, ...]:
        """Return the faces, largest box first, inside the picture."""
        return self.detections(image, min_face_size=min_face_size).faces(image)

    def detections(self, image: RgbImage, *, min_face_size: int | None = None) -> Detections:
        """Return boxes as the network gives them, unclipped."""
        smallest = min_face_size or usual_face_size(image.height, image.width)
        factor = max(int(smallest / FACE_PX), 1)
        rows = self._rows(shrunk(image.pixels, factor))
        places = rows[:, 1:] * np.float32(factor)
        large = (places[:, 2:4] - places[:, :2]).max(axis=1) >= (min_face_size or 0)
        rows, places = rows[large], places[large]
        return Detections(places[:, :4], rows[:, 0], places[:, 4:].reshape(-1, 5, 2))

    def _rows(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return (N, 15): score, left, top, right, bottom, five points; pixels, best first."""
        height, width = (-(-side // CELL_PX) * CELL_PX for side in pixels.shape[:2])
        planes = np.zeros((1, 3, height, width), dtype=np.float32)
        planes[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)[::-1]
        outputs = self._session.run({self._session.inputs[0].name: planes})
        named = dict(zip((spec.name for spec in self._session.outputs), outputs, strict=True))
        found = [
            _decoded([named[f"{kind}_{stride}"][0] for kind in COLUMNS], stride, width // stride)
            for stride in STRIDES
        ]
        rows = np.concatenate(found)
        return rows[suppress(rows[:, 1:5], rows[:, 0], MAX_OVERLAP)]


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
    """Run one blank cell, so that a foreign graph is refused at start."""
    names = tuple(sorted(spec.name for spec in session.outputs))
    if names != tuple(sorted(OUTPUTS)) or len(session.inputs) != 1:
        raise ModelContractError(f"{file} is not YuNet: its outputs are {', '.join(names)}")
    blank = np.zeros((1, 3, CELL_PX, CELL_PX), dtype=np.float32)
    for output, spec in zip(
        session.run({session.inputs[0].name: blank}), session.outputs, strict=True
    ):
        kind, stride = spec.name.split("_")
        expected = (1, (CELL_PX // int(stride)) ** 2, COLUMNS[kind])
        if output.shape != expected:
            raise ModelContractError(f"{file} is not YuNet: {spec.name} is {output.shape}")
