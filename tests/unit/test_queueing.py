"""The simulated server compared with queueing theory."""

from statistics import mean

import pytest
from benchmarks.queueing import queued


@pytest.mark.parametrize("cores", [1, 3])
def test_even_arrivals_below_the_ceiling_never_wait(cores: int) -> None:
    answers_s = queued([0.02], cores, 0.9, 60, "constant")
    assert answers_s == pytest.approx([0.02] * len(answers_s))


def test_bursts_wait_as_the_formula_predicts() -> None:
    # Pollaczek and Khinchine, one core and equal work: rho / (2 (1 - rho)) of it on average.
    answers_s = queued([0.02], 1, 0.8, 6_000, "poisson")
    assert mean(answers_s) == pytest.approx(0.02 * 3, rel=0.05)


def test_overload_builds_up_a_queue() -> None:
    assert queued([0.02], 2, 2.0, 60, "constant")[-1] == pytest.approx(60, rel=0.01)


def test_arrivals_use_a_free_core() -> None:
    answers_s = queued([1.0, 0.001], 2, 0.5, 600, "constant")
    assert answers_s[::2] == pytest.approx([1.0] * len(answers_s[::2]))
    assert answers_s[1::2] == pytest.approx([0.001] * len(answers_s[1::2]))
