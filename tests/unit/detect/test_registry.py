from pathlib import Path

import numpy as np
import pytest

from mien.detect.mtcnn import MtcnnDetector
from mien.detect.registry import build_detector
from mien.errors import InvalidParameterError
from mien.types import RgbImage


def test_an_unknown_detector_lists_the_known() -> None:
    with pytest.raises(InvalidParameterError, match="mtcnn"):
        build_detector("no-such-detector")


def test_a_file_that_is_not_wanted_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="brings its own"):
        build_detector("mtcnn", Path("other.onnx"))


@pytest.mark.parametrize(
    ("size", "smallest"),
    [((100, 100), 20), ((320, 240), 20), ((640, 360), 30), ((640, 480), 40), ((4000, 3000), 40)],
)
def test_mtcnns_usual_face_size_follows_the_picture(size: tuple[int, int], smallest: int) -> None:
    image = RgbImage(np.zeros((size[1], size[0], 3), dtype=np.uint8))
    assert MtcnnDetector()._usual_face_size(image) == smallest
