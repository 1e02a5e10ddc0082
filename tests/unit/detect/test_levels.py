"""Which proposals of which size of the image become faces, and in which places."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.detect import levels
from mien.detect.levels import averaged, first_level_factor, search
from mien.detect.yunet import YunetDetector
from mien.recognizer import Recognizer
from mien.types import Face, RgbImage
from samples import StubClassifier

Floats = NDArray[np.float32]


def rows_of(*boxes: tuple[float, ...]) -> Floats:
    """Return rows of (score, left, top, right, bottom), points in the box's corner."""
    given = np.array(boxes, dtype=np.float32).reshape(-1, 5)
    return np.concatenate([given, np.tile(given[:, 1:3], 5)], axis=1)


def test_no_proposals() -> None:
    assert averaged(rows_of(), np.empty(0, dtype=np.intp)).shape == (0, 15)


@pytest.mark.parametrize("pairs", [1, 250_000])
def test_a_face_is_the_mean_of_overlapping_boxes(
    monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    monkeypatch.setattr(levels, "PAIRS", pairs)
    rows = rows_of((0.8, 10, 10, 50, 50), (0.4, 15, 10, 55, 50), (0.7, 100, 10, 140, 50))
    best, other = averaged(rows, np.array([0, 2]))
    assert best[0] == pytest.approx(0.8)
    # The squares of the scores are four to one.
    assert best[1:5].tolist() == pytest.approx([11, 10, 51, 50])
    assert best[5:7].tolist() == pytest.approx([11, 10])
    assert other[1:5].tolist() == [100, 10, 140, 50]


def test_boxes_with_little_overlap_or_no_area_are_excluded() -> None:
    rows = rows_of((0.8, 10, 10, 50, 50), (0.8, 30, 10, 70, 50), (0.5, 20, 20, 20, 20))
    np.testing.assert_allclose(averaged(rows, np.array([0, 1, 2])), rows, rtol=1e-6)


@pytest.mark.parametrize(
    ("side", "factors"),
    [
        (40, [2]),  # too small for the levels after the half size
        (240, [2]),
        (280, [2, 4]),
        (600, [2, 4, 8]),
    ],
)
def test_small_levels_keep_only_large_faces(side: int, factors: list[int]) -> None:
    found, seen = searched_levels(side, noticed_px=0)
    assert seen == [2, 4, 8]
    assert found == factors


@pytest.mark.parametrize(
    ("side", "factors"), [(190, [2]), (194, [2, 4]), (380, [2, 4]), (390, [2, 4, 8])]
)
def test_a_level_without_large_proposals_is_the_last(side: int, factors: list[int]) -> None:
    assert searched_levels(side, noticed_px=800)[1] == factors


def test_levels_of_more_than_noticed_px_are_never_the_last() -> None:
    assert searched_levels(20, noticed_px=799)[1] == [2, 4]


def searched_levels(side: int, *, noticed_px: int) -> tuple[list[int], list[int]]:
    """Return the levels whose proposal of a face was kept, and all that were searched."""
    seen: list[int] = []

    def network(pixels: NDArray[np.uint8]) -> Floats:
        if pixels.shape[:2] not in ((450, 800), (225, 400), (112, 200), (113, 200)):
            return rows_of()
        factor = 1600 // pixels.shape[1]
        # Each level's score says which one it is, and its box is beside the others'.
        seen.append(factor)
        left = (seen.index(factor) * side) / factor
        return rows_of((0.5 + factor / 100, left, 0, left + side / factor, side / factor))

    image = RgbImage(Image.new("RGB", (1600, 900)))
    found = search(image, network, None, min_score=0.4, noticed_px=noticed_px)
    return sorted(np.round((found[:, 0] - 0.5) * 100).astype(int).tolist()), seen


def test_full_size_is_searched_around_proposals_of_the_half_size() -> None:
    """A small face is at (300, 200) to (340, 240); the half size gives it a low score."""
    image = np.zeros((900, 1600, 3), dtype=np.uint8)
    image[200:240, 300:340] = 255
    searched = []

    def network(pixels: NDArray[np.uint8]) -> Floats:
        searched.append(pixels.shape[:2])
        y, x = np.nonzero(pixels[:, :, 0] == 255)
        if len(y) == 0 or np.ptp(x) < 15:
            return rows_of()
        score = 0.9 if np.ptp(x) > 30 else 0.15
        return rows_of((score, x.min(), y.min(), x.max() + 1, y.max() + 1))

    found = search(RgbImage(Image.fromarray(image)), network, None, min_score=0.4)
    assert found[:, :5].tolist() == [pytest.approx([0.9, 300, 200, 340, 240])]
    first, (height, width) = searched
    assert first == (450, 800)
    assert 40 < height < 200
    assert 40 < width < 200


def test_places_below_the_possible_score_are_not_searched_again() -> None:
    seen = []

    def network(pixels: NDArray[np.uint8]) -> Floats:
        seen.append(pixels.shape[:2])
        return rows_of((0.15, 300, 200, 320, 220))

    image = RgbImage(Image.new("RGB", (1600, 900)))
    assert len(search(image, network, None, min_score=0.1, possible=0.2)) == 1
    assert seen == [(450, 800)]


def test_a_face_that_fills_a_noisy_image_is_found(astronaut: NDArray[np.uint8]) -> None:
    """At half size, the network gives it scores from 0.1 to 0.2; at a quarter, a high one."""
    size = (1024, 1280)
    face = Image.fromarray(astronaut[60:185, 175:275]).resize(size, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 80, (640, 512)).repeat(2, axis=0).repeat(2, axis=1)
    noisy = np.clip(np.asarray(face) + grain[:, :, np.newaxis], 0, 255).astype(np.uint8)
    (found,) = YunetDetector().detect(RgbImage(noisy))
    assert found.box.width > 900


def test_parts_of_the_full_size_are_cut_from_the_reduced_image() -> None:
    """The sides are no multiples of the factor; a possible face is in the last corner."""
    noise = np.random.default_rng(7).integers(0, 256, (1203, 1999, 3), dtype=np.uint8)
    searched = []

    def network(pixels: NDArray[np.uint8]) -> Floats:
        searched.append(pixels)
        half = pixels.shape[:2] == (301, 500)
        return rows_of((0.3, 470, 280, 500, 301)) if half else rows_of()

    search(RgbImage(noise), network, 64, min_score=0.4)
    *_, part = searched
    height, width, _ = part.shape
    assert (height, width) < (200, 200)
    full = np.asarray(Image.fromarray(noise).reduce(2))
    np.testing.assert_array_equal(part, full[-height:, -width:])


@pytest.mark.parametrize(
    ("stored", "factor"),
    [
        ((1600, 1062), 2),
        ((1600, 1064), 4),  # more than 1.7 megapixels
        ((3200, 2124), 4),
        ((3200, 2126), 4),  # from here on, decoding reduces it
        ((6400, 4248), 4),
        ((6400, 4256), 8),
    ],
)
def test_first_levels_of_large_photos(stored: tuple[int, int], factor: int) -> None:
    class Detector:
        def detect(self, image: RgbImage, **_: object) -> tuple[Face, ...]:
            searched = max(image.width, image.height) // first_level_factor(image, None)
            factors.add(max(stored) // searched)
            return ()

    factors: set[int] = set()
    photo = Image.new("RGB", stored)
    # upright=auto turns a photo without a face.
    Recognizer(detector=Detector(), model=StubClassifier(), upright="auto").analyze(photo)
    assert factors == {factor}


def test_an_image_too_small_to_search_has_no_faces() -> None:
    def network(_: NDArray[np.uint8]) -> Floats:
        raise AssertionError("searched")

    assert search(RgbImage(Image.new("RGB", (40, 7))), network, None, 0.4).shape == (0, 15)
    assert search(RgbImage(Image.new("RGB", (60_000, 1))), network, None, 0.4).shape == (0, 15)


def test_an_image_of_one_level_is_searched_whole() -> None:
    searched = []

    def network(pixels: NDArray[np.uint8]) -> Floats:
        searched.append(pixels.shape[:2])
        return rows_of()

    assert len(search(RgbImage(Image.new("RGB", (384, 300))), network, None, 0.4)) == 0
    assert searched == [(300, 384)]
