from pathlib import Path

import pytest

from mien.detect.registry import build_detector
from mien.errors import InvalidParameterError


def test_an_unknown_detector_lists_the_known() -> None:
    with pytest.raises(InvalidParameterError, match="mtcnn"):
        build_detector("no-such-detector")


def test_a_file_that_is_not_wanted_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="brings its own"):
        build_detector("mtcnn", Path("other.onnx"))


def test_a_file_that_is_missing_is_asked_for() -> None:
    with pytest.raises(InvalidParameterError, match="--detector-model or MIEN_DETECTOR_MODEL"):
        build_detector("yunet")
