"""Work stops at its deadline."""

import numpy as np
import pytest

from mien.deadline import Deadline, check_deadline
from mien.errors import DeadlineExceededError
from mien.options import Options
from mien.recognizer import Recognizer
from mien.types import RgbImage


def test_a_passed_deadline() -> None:
    with Deadline.after(5).observed():
        check_deadline()
    with Deadline.after(-1).observed(), pytest.raises(DeadlineExceededError):
        check_deadline()
    check_deadline()  # none is left behind


@pytest.mark.parametrize("options", [Options(), Options(min_face_size=20), Options(crop=True)])
def test_no_model_runs_after_the_deadline(options: Options) -> None:
    recognizer = Recognizer()
    image = RgbImage(np.full((100, 100, 3), 127, dtype=np.uint8))
    with Deadline.after(-1).observed(), pytest.raises(DeadlineExceededError):
        recognizer.analyze(image, options)
