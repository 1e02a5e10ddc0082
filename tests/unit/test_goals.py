"""Goals of the soak test and of the service benchmark."""

import pytest
from benchmarks import goals


@pytest.mark.parametrize(
    ("resident_mb", "statuses", "reached"),
    [
        ([100.0] * 20, {}, True),
        ([50.0] * 2 + [100.0] * 2 + [105.0] * 16, {200: 9, 400: 3, 429: 1, 0: 4}, True),
        ([100.0] * 18 + [106.0] * 2, {200: 9}, False),
        ([100.0] * 10 + [120.0] + [100.0] * 9, {200: 9}, True),
        ([100.0] * 20, {200: 9, 503: 1}, False),
    ],
    ids=["nothing asked", "5 % more", "6 % more", "more on the way", "a 5xx"],
)
def test_a_soak_reaches_its_goals_or_misses_them(
    resident_mb: list[float], statuses: dict[int, int], reached: bool
) -> None:
    lines, is_reached = goals.soak(resident_mb, statuses)
    assert is_reached == reached
    assert any("MISSED" in line for line in lines) != reached


def test_a_soak_reports_peak_memory_after_a_tenth() -> None:
    lines, _ = goals.soak([300.0] * 3 + [100.0] * 3 + [120.0] + [102.0] * 23, {500: 2})
    assert lines == [
        "100 MB in the second tenth, 102 MB in the last: +2.0%, goal at most 5%: reached",
        "120 MB at most since the first tenth",
        "2 responses had a 5xx status, goal 0: MISSED",
    ]


@pytest.mark.parametrize(
    ("load", "ratio", "message"),
    [
        (0.5, 9.0, "p99 is 9.0 times unloaded p50"),
        (0.8, 3.54, "p99 is 3.5 times unloaded p50, goal at most 4: reached"),
        (0.8, 6.7, "p99 is 6.7 times unloaded p50, goal at most 4: MISSED"),
    ],
)
def test_the_goal_for_latency_is_at_80_percent(load: float, ratio: float, message: str) -> None:
    assert goals.latency(load, ratio) == message
