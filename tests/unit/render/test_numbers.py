import pytest
from PIL import Image

from mien.render.numbers import format_count, format_percent, format_probability
from mien.render.report import report_page
from mien.types import Emotion


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0.0, 0, "0 %"),
        (1e-12, 0, "< 1 %"),
        (0.004, 0, "< 1 %"),
        (0.006, 0, "1 %"),
        (0.94, 0, "94 %"),
        (0.994, 0, "99 %"),
        (0.9992, 0, "> 99 %"),
        (1.0, 0, "100 %"),
        (1.03, 0, "103 %"),
        (0.0, 1, "0.0 %"),
        (0.0001, 1, "< 0.1 %"),
        (0.9992, 1, "99.9 %"),
        (0.9999, 1, "> 99.9 %"),
        (1.0, 1, "100.0 %"),
    ],
)
def test_a_share_is_rounded_to_0_or_100_only_if_exact(
    share: float, decimals: int, text: str
) -> None:
    assert format_percent(share, decimals) == text


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "< 1 %"), (0.4, "40 %"), (0.9992, "> 99 %"), (1.0, "> 99 %")]
)
def test_a_probability_is_never_certain(probability: float, text: str) -> None:
    assert format_probability(probability) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces"), (1234, "1,234 faces")]
)
def test_things_are_counted(count: int, text: str) -> None:
    assert format_count(count, "face") == text


def test_a_report_shows_no_certainty() -> None:
    page = report_page(
        "results",
        photos=10_000,
        faceless=0,
        emotions={Emotion.HAPPY: 9999, Emotion.FEAR: 1},
        confidence=[1],
        examples={Emotion.HAPPY: [("a.jpg", 1.0, Image.new("RGB", (8, 8)))]},
        failures={},
    )
    for text in (">&gt; 99.9 %<", ">&lt; 0.1 %<", ">&gt; 99 %</figure>", "0 to 100 %: 1 face"):
        assert text in page
