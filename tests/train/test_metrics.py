import numpy as np
import pytest

from mien_train.metrics import calibration_error, measure

LABELS = ("a", "b", "c")


def test_a_perfect_answer() -> None:
    metrics = measure(np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 1]), LABELS)
    assert metrics.accuracy == metrics.macro_f1 == 1
    assert metrics.calibration_error == metrics.log_likelihood == 0
    assert metrics.interval == (1, 1)


def test_figures_of_a_worked_example() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    metrics = measure(probabilities, np.array([0, 1, 1, 2]), LABELS)
    assert metrics.accuracy == 0.75
    assert metrics.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert metrics.precision == (0.5, 1.0, 1.0)
    assert metrics.recall == (1.0, 0.5, 1.0)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    expected = -np.log([0.8, 0.3, 0.7, 0.8]).mean()
    assert metrics.log_likelihood == pytest.approx(expected)
    assert metrics.to_dict()["per_class"]["b"] == {
        "faces": 2,
        "precision": 1.0,
        "recall": 0.5,
        "f1": 0.6667,
    }


@pytest.mark.parametrize(
    ("confidence", "right", "error"),
    [([1.0, 1.0], [True, False], 0.5), ([0.5, 0.5], [True, False], 0.0), ([0.9], [False], 0.9)],
)
def test_calibration_error(confidence: list[float], right: list[bool], error: float) -> None:
    assert calibration_error(np.array(confidence), np.array(right)) == pytest.approx(error)
