"""The animation of the README shows the page of today."""

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page
from tools.page_animation import SEEKS, WIDTH_PX, scenes

KEPT = Path(__file__).parents[2] / "docs" / "images" / "page.webp"


def test_the_scenes_of_the_animation(page: Page) -> None:
    pictures, durations = zip(*scenes(page), strict=True)
    assert {picture.width for picture in pictures} == {WIDTH_PX}
    assert all(duration > 0 for duration in durations)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    with Image.open(KEPT) as kept:
        assert kept.n_frames == len(pictures) == SEEKS + 2
    assert KEPT.stat().st_size < 1_500_000
