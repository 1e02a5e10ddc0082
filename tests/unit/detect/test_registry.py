from pathlib import Path

import pytest

from mien.detect.registry import DETECTORS, DETECTORS_BY_FILE, build_detector
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


def without_providers() -> None:
    """As a first try at a detector may be."""


def with_a_fault_of_its_own(*, providers: object) -> None:
    raise TypeError("a fault of its own")


def test_a_detector_that_takes_no_providers_is_told_what_to_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DETECTORS, "eyes", without_providers)
    monkeypatch.setitem(DETECTORS_BY_FILE, "nose", without_providers)
    with pytest.raises(TypeError, match=r"detector eyes must be made with \(\*, providers\): "):
        build_detector("eyes")
    with pytest.raises(TypeError, match=r"detector nose .* \(model_file, \*, providers\): "):
        build_detector("nose", Path("nose.onnx"))


def test_a_fault_inside_a_detector_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "eyes", with_a_fault_of_its_own)
    with pytest.raises(TypeError, match=r"^a fault of its own$"):
        build_detector("eyes")
