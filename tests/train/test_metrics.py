import math

import numpy as np
import pytest

from mien_train.metrics import measure, reliability

LABELS = ("a", "b", "c")


def test_perfect_predictions() -> None:
    metrics = measure(np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 1]), LABELS)
    assert metrics.accuracy == metrics.macro_f1 == 1
    assert metrics.calibration_error == metrics.log_likelihood == 0
    assert metrics.accuracy_interval == (1, 1)
    assert metrics.recall_intervals == ((1, 1),) * 3
    assert metrics.top_confusions() == []


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
        "recall_interval": [0.0, 1.0],
        "f1": 0.6667,
    }
    (mistake,) = metrics.top_confusions()
    assert (mistake.truth, mistake.predicted, mistake.faces, mistake.share) == ("b", "a", 1, 0.5)
    assert metrics.above(0.75) == (0.5, 1.0)
    assert metrics.above(0.5) == (1.0, 0.75)
    assert math.isnan(metrics.above(0.9)[1])


@pytest.mark.parametrize(
    ("confidence", "right", "error"),
    [([1.0, 1.0], [True, False], 0.5), ([0.5, 0.5], [True, False], 0.0), ([0.9], [False], 0.9)],
)
def test_calibration_error(confidence: list[float], right: list[bool], error: float) -> None:
    assert reliability(np.array(confidence), np.array(right)).error == pytest.approx(error)


def test_the_calibration_error_by_chance_is_that_of_a_perfectly_calibrated_model() -> None:
    random = np.random.default_rng(1)
    confidence = random.uniform(0.3, 1.0, 200)
    errors = [reliability(confidence, random.random(200) < confidence).error for _ in range(500)]
    expected = reliability(confidence, np.ones(200, dtype=bool)).error_by_chance
    assert expected == pytest.approx(np.mean(errors), rel=0.05)
    assert reliability(np.ones(3), np.ones(3, dtype=bool)).error_by_chance == 0


def test_the_recall_of_an_empty_class_is_unknown() -> None:
    metrics = measure(np.eye(3)[[0, 1, 1]], np.array([0, 1, 1]), LABELS)
    assert metrics.recall_intervals == ((1, 1), (1, 1), (0, 1))


def test_the_macro_f1_is_that_of_the_classes_that_occur() -> None:
    rare = np.array([0] * 50 + [1] * 50 + [2])
    for truth in (rare[:-1], rare):
        metrics = measure(np.eye(3)[truth], truth, LABELS)
        assert metrics.macro_f1 == 1
        assert metrics.macro_f1_interval == (1, 1), "a third of the draws lack the last class"
    wrong = measure(np.eye(3)[[0, 2]], np.array([0, 0]), LABELS)
    assert wrong.macro_f1 == pytest.approx((2 / 3 + 0) / 2), "a class that is only predicted counts"


def test_bins_contain_every_prediction_once() -> None:
    bins = reliability(np.array([0.0, 0.05, 0.5, 0.99, 1.0]), np.array([0, 1, 1, 1, 0], dtype=bool))
    assert bins.counts.sum() == 5
    assert bins.counts[0] == 2
    assert bins.counts[-1] == 2, "one belongs to the last bin"
    np.testing.assert_allclose(bins.accuracy[[0, 7, 14]], [0.5, 1, 0.5])
    assert bins.confidence[1] == bins.accuracy[1] == 0, "an empty bin"


def test_intervals_match_a_bootstrap_over_faces() -> None:
    """Against the plain bootstrap, face by face."""
    random = np.random.default_rng(3)
    truth = random.integers(0, 3, 400)
    probabilities = np.eye(3)[np.where(random.random(400) < 0.7, truth, 0)] * 0.8 + 0.2 / 3
    metrics = measure(probabilities, truth, LABELS)
    again = [
        measure(probabilities[rows], truth[rows], LABELS)
        for rows in random.integers(0, 400, (150, 400))
    ]
    for interval, values in (
        (metrics.accuracy_interval, [m.accuracy for m in again]),
        (metrics.macro_f1_interval, [m.macro_f1 for m in again]),
        (metrics.recall_intervals[1], [m.recall[1] for m in again]),
    ):
        np.testing.assert_allclose(interval, np.percentile(values, [2.5, 97.5]), atol=0.02)
