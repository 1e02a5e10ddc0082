import numpy as np
import pytest
from numpy.typing import NDArray

from mien.detect.light import exposures
from mien.detect.yunet import YunetDetector
from mien.types import RgbImage


def darkened(pixels: NDArray[np.uint8], factor: float, offset: float = 0) -> RgbImage:
    return RgbImage(np.clip(pixels * factor + offset, 0, 255).astype(np.uint8))


def test_a_normal_image_is_unchanged(astronaut: NDArray[np.uint8]) -> None:
    image = RgbImage(astronaut)
    assert exposures(image) == (image,)


@pytest.mark.parametrize(("factor", "offset"), [(0.15, 0), (0.2, 140)])
def test_dark_and_hazy_images_are_stretched(
    astronaut: NDArray[np.uint8], factor: float, offset: float
) -> None:
    image = darkened(astronaut, factor, offset)
    same, brighter = exposures(image)
    assert same is image
    stretched = brighter.pixels
    assert stretched.min() == 0
    assert stretched.max() == 255
    difference = np.abs(stretched.astype(int) - astronaut)
    assert np.median(difference) < 25


@pytest.mark.parametrize("value", [0, 128, 255])
def test_noise_is_not_stretched(value: int) -> None:
    noise = np.random.default_rng(2).integers(-1, 2, (60, 80, 3)) + value
    image = RgbImage(np.clip(noise, 0, 255).astype(np.uint8))
    assert exposures(image) == (image,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3, 2)])
def test_odd_shapes(shape: tuple[int, int]) -> None:
    image = RgbImage(np.full((*shape, 3), 7, dtype=np.uint8))
    assert exposures(image) == (image,)


@pytest.mark.parametrize("background", [0, 90, 255])
def test_a_small_photo_on_a_plain_page_is_found(
    astronaut: NDArray[np.uint8], background: int
) -> None:
    page = np.full((2000, 2600, 3), background, dtype=np.uint8)
    page[300:812, 900:1412] = astronaut
    (face,) = YunetDetector().detect(RgbImage(page))
    assert 1060 < face.box.left < 1110
    assert 350 < face.box.top < 400
