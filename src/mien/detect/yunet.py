"""YuNet, whose uncertain faces MTCNN's O-Net verifies: the default detector.

YuNet is one small network without anchors; outputs are decoded as OpenCV's FaceDetectorYN does.
Source: Wu, Peng, Yu 2023, "YuNet: A tiny millisecond-level face detector".
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import load_card
from mien.detect.levels import NOTICED, LevelsDetector, filled, search
from mien.detect.verify import FaceVerifier
from mien.errors import ArtifactError, ModelContractError
from mien.runtime.freesize import with_free_size
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import RgbImage

__all__ = ["YunetDetector"]

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
# Columns of each output: class and object score, box, five points.
COLUMNS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
OUTPUTS = tuple(f"{kind}_{stride}" for kind in COLUMNS for stride in STRIDES)
# Sides are padded to a multiple of the largest stride.
MULTIPLE_PX = STRIDES[-1]
# At half size, the score from which a place is searched again at full size. With 0.15, YuNet-s
# searches more of the full size, but finds no more faces: run benchmarks/curves.py with both.
POSSIBLE = 0.22
# Minimum score of a proposal. From SURE on, O-Net would not change the result.
PROPOSED, SURE = 0.45, 0.85
# Probability that a proposal is a face: the logistic function of YUNET * logit(YuNet's score) +
# ONET * O-Net's logit + BIAS. For proposals above SURE, SURE_LOGIT replaces O-Net's logit.
# Fitted by benchmarks/fit_scores.py.
YUNET, ONET, BIAS, SURE_LOGIT = 2.03, 0.25, -0.91, 4.0
# O-Net's logits are clipped here: larger ones are rare, so the fit is not valid for them.
MAX_LOGIT = 9.0
MIN_SCORE = 0.65


class YunetDetector(LevelsDetector):
    """Finds faces with YuNet and verifies uncertain ones with O-Net. Threads may share it.

    A face's score is the probability that the box shows a face, as fitted on photos.
    """

    default_min_score = MIN_SCORE

    def __init__(
        self,
        model_file: Path | None = None,
        *,
        providers: Sequence[Provider] = CPU,
    ) -> None:
        """Load the networks.

        Args:
            model_file: ONNX file of YuNet, such as OpenCV Zoo's; it may declare one input size.
                None: YuNet-s, in the package.
            providers: As for OrtSession.

        Raises:
            ArtifactError: The file cannot be read or is not an ONNX graph.
            ModelContractError: It is another network.
        """
        name = "yunet/model.onnx" if model_file is None else str(model_file)
        try:
            self._session = OrtSession(_model(model_file), dynamic_shapes=True, providers=providers)
        except ArtifactError as error:
            raise ArtifactError(f"{name}: {error.message}") from error
        _check(self._session, name)
        self._verifier = FaceVerifier(providers=providers)

    def rows(self, image: RgbImage, min_face_size: int | None) -> Floats:
        """Return rows (N, 15) of the proposals, with the probability that each is a face."""
        rows = search(image, self.propose, min_face_size, PROPOSED, possible=POSSIBLE)
        logits = self.logits(image, rows) @ np.array([YUNET, ONET], dtype=np.float32) + BIAS
        rows[:, 0] = 1 / (1 + np.exp(-logits))
        return rows

    def logits(self, image: RgbImage, rows: Floats) -> Floats:
        """Return (N, 2) logits of proposals (N, 15): of YuNet's score, and O-Net's."""
        scores = np.clip(rows[:, 0], 1e-6, 1 - 1e-6)
        onet = np.full(len(rows), SURE_LOGIT, dtype=np.float32)
        unsure = scores < SURE
        onet[unsure] = self._verifier.logits(image, rows[unsure, 1:5])
        return np.stack([np.log(scores / (1 - scores)), np.clip(onet, -MAX_LOGIT, MAX_LOGIT)], 1)

    def propose(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return rows (N, 15) of proposals in pixels (H, W, 3), unsuppressed."""
        # Blue first, from 0 to 255.
        planes = filled(pixels[:, :, ::-1], MULTIPLE_PX)
        outputs = self._session.run({self._session.inputs[0].name: planes})
        named = dict(zip((spec.name for spec in self._session.outputs), outputs, strict=True))
        return _decoded(
            *(np.concatenate([named[f"{kind}_{s}"][0] for s in STRIDES]) for kind in COLUMNS),
            height=planes.shape[2],
            width=planes.shape[3],
        )


def _model(model_file: Path | None) -> bytes:
    if model_file is None:
        return load_card("yunet").read("model.onnx")
    try:
        return with_free_size(model_file.read_bytes())
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise ArtifactError("the detector's file cannot be read") from error


def _decoded(
    classes: Floats, objects: Floats, boxes: Floats, points: Floats, *, height: int, width: int
) -> Floats:
    """Return the proposals (N, 15) of all strides.

    Args:
        classes: (M, 1) scores of the cells of each stride, row by row.
        objects: (M, 1) scores.
        boxes: (M, 4) centers and logarithms of the sides, in cells.
        points: (M, 10), in cells.
        height: Of the input in pixels.
        width: Of the input in pixels.
    """
    found = np.flatnonzero(classes[:, 0] * objects[:, 0] >= np.float32(NOTICED**2))
    scores = np.sqrt(np.clip(classes[found], 0, 1) * np.clip(objects[found], 0, 1))
    ends = np.cumsum([(height // stride) * (width // stride) for stride in STRIDES])
    level = np.searchsorted(ends, found, side="right")
    stride = np.array(STRIDES)[level]
    cell = found - np.concatenate([[0], ends])[level]
    corner = np.stack([cell % (width // stride), cell // (width // stride)], axis=1)
    center, half = boxes[found, :2] + corner, np.exp(boxes[found, 2:]) / 2
    places = [center - half, center + half, points[found] + np.tile(corner, 5)]
    rows = np.concatenate(places, axis=1) * stride[:, None]
    return np.concatenate([scores, rows], axis=1).astype(np.float32)


def _check(session: OrtSession, name: str) -> None:
    """Run one blank image, so that another network is refused at start."""
    outputs = [spec.name for spec in session.outputs]
    if sorted(outputs) != sorted(OUTPUTS) or len(session.inputs) != 1:
        raise ModelContractError(f"{name} is not YuNet: its outputs are {', '.join(outputs)}")
    # Not square, so that height and width cannot be mixed up.
    blank = np.zeros((1, 3, 2 * MULTIPLE_PX, 3 * MULTIPLE_PX), dtype=np.float32)
    try:
        results = session.run({session.inputs[0].name: blank})
    except Exception as error:  # ONNX Runtime raises plain pybind exceptions of many types
        raise ModelContractError(
            f"{name} is not YuNet: it takes no input of shape {blank.shape}"
        ) from error
    for output, values in zip(outputs, results, strict=True):
        kind, _, stride = output.partition("_")
        expected = (1, 6 * (MULTIPLE_PX // int(stride)) ** 2, COLUMNS[kind])
        if values.shape != expected:
            raise ModelContractError(f"{name} is not YuNet: {output} has shape {values.shape}")
