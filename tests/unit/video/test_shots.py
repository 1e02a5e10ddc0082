"""Cuts between shots; pans, flashes and noise are none."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as photos
from skimage.transform import resize

from mien.video.shots import THUMBNAIL_SIDE, Pending, with_cuts

SIDE = THUMBNAIL_SIDE


def thumbnail(picture: NDArray[np.uint8], left: int = 0, width: int = 200) -> NDArray[np.int16]:
    part = picture[:width, left : left + width]
    return np.rint(255 * resize(part, (SIDE, SIDE), anti_aliasing=True)).astype(np.int16)


@pytest.fixture(scope="module")
def face(astronaut: NDArray[np.uint8]) -> NDArray[np.int16]:
    return thumbnail(astronaut, 100)


@pytest.fixture(scope="module")
def other() -> NDArray[np.int16]:
    return thumbnail(photos.chelsea(), 50)


def cuts(thumbnails: list[NDArray[np.int16]], interval_s: float = 0.04) -> list[int]:
    frames = [Pending(n, n * interval_s, each) for n, each in enumerate(thumbnails)]
    marked = list(with_cuts(frames))
    assert [number for number, _ in marked] == list(range(len(frames)))
    return [number for number, cut in marked if cut]


def noisy(thumbnails: list[NDArray[np.int16]]) -> list[NDArray[np.int16]]:
    noise = np.random.default_rng(0)
    return [(t + noise.normal(0, 3, t.shape)).clip(0, 255).astype(np.int16) for t in thumbnails]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 20])
def test_one_shot(face: NDArray[np.int16], count: int) -> None:
    assert cuts(noisy([face] * count)) == []


@pytest.mark.parametrize("before", [1, 2, 3, 4, 5, 9, 30])
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5, 9, 30])
def test_two_shots(
    face: NDArray[np.int16], other: NDArray[np.int16], before: int, after: int
) -> None:
    assert cuts(noisy([face] * before + [other] * after)) == [before]


def test_many_shots(face: NDArray[np.int16], other: NDArray[np.int16]) -> None:
    assert cuts(noisy(([face] * 7 + [other] * 7) * 3)) == [7, 14, 21, 28, 35]


@pytest.mark.parametrize("step", [4, 8, 14])
def test_a_fast_pan_is_no_cut(astronaut: NDArray[np.uint8], step: int) -> None:
    lefts = [0] * 8 + list(range(0, 300, step)) + [300] * 8
    frames = [thumbnail(astronaut, left) for left in lefts]
    changes = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    assert cuts(frames) == []
    # Of the fastest, each frame alone would be taken for a cut.
    assert step < 14 or max(changes) > 15


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("gain", [60, 255])
def test_a_flash_is_no_cut(face: NDArray[np.int16], frames: int, gain: int) -> None:
    bright = (face + gain).clip(0, 255)
    assert cuts(noisy([face] * 8 + [bright] * frames + [face] * 8)) == []


def test_a_slide_show_of_one_frame_each(face: NDArray[np.int16], other: NDArray[np.int16]) -> None:
    """Between frames that are seconds apart, motion is unknown: only their difference counts."""
    assert cuts([face, other, face, face, other], interval_s=2.0) == [1, 2, 4]
