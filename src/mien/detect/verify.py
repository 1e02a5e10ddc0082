"""Check with MTCNN's last network (O-Net) whether a box shows a face."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.artifacts import load_card
from mien.geometry import squared, whole_pixels
from mien.runtime.ort import OrtSession
from mien.runtime.providers import CPU, Provider
from mien.types import RgbImage

__all__ = ["FaceVerifier"]

CROP_PX = 48
# More crops at once are slower: they leave the processor's cache.
BATCH = 4

Floats = NDArray[np.float32]


class FaceVerifier:
    """Scores boxes with O-Net. Threads may share it.

    Raises:
        ArtifactError: The model file is missing or was altered.
    """

    def __init__(self, *, providers: Sequence[Provider] = CPU) -> None:
        model = load_card("mtcnn").read("onet.onnx")
        self._session = OrtSession(model, providers=providers, dynamic_shapes=True)

    def logits(self, image: RgbImage, boxes: Floats) -> Floats:
        """Return the logit (N,) that each box (N, 4) shows a face; N may be 0."""
        found = [np.empty(0, dtype=np.float32)]
        for at in range(0, len(boxes), BATCH):
            edges = whole_pixels(squared(boxes[at : at + BATCH]), image.width, image.height)
            crops = np.stack([_crop(image, edge) for edge in edges.tolist()])
            planes = crops.transpose(0, 3, 1, 2).astype(np.float32, order="C")
            (rows,) = self._session.run({self._session.inputs[0].name: planes})
            found.append(rows[:, 0])
        return np.concatenate(found)


def _crop(image: RgbImage, edges: list[int]) -> NDArray[np.uint8]:
    left, top, right, bottom = edges
    # A box beyond the image becomes one pixel at its edge.
    left, top = min(left, image.width - 1), min(top, image.height - 1)
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    return np.asarray(image.picture.resize((CROP_PX, CROP_PX), Image.Resampling.BOX, box))
