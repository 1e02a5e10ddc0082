import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.classify.crop import (
    FER2013_TEMPLATE,
    Square,
    align,
    crop_square,
    square_of_face,
    square_of_image,
    stretched,
)
from mien.classify.preprocess import CropSpec
from mien.types import Box, Face, Landmarks, RgbImage

TEMPLATE = np.array(FER2013_TEMPLATE.points)


def gradient(width: int, height: int) -> RgbImage:
    """A grey ramp from left to right."""
    ramp = np.linspace(0, 255, width, dtype=np.float32).astype(np.uint8)
    return RgbImage(np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, 3))))


def disc(side: int, center: tuple[float, float], radius: float) -> RgbImage:
    y, x = np.mgrid[:side, :side] + 0.5
    inside = np.hypot(x - center[0], y - center[1]) < radius
    return RgbImage(np.repeat((inside * 255).astype(np.uint8)[:, :, None], 3, axis=2))


def test_no_squares_give_no_crops() -> None:
    assert CropSpec(size_px=48).crops(gradient(8, 8), []).shape == (0, 1, 48, 48)


def test_an_image_of_the_crop_size_is_unchanged(astronaut: NDArray[np.uint8]) -> None:
    image = RgbImage(np.ascontiguousarray(astronaut[:48, :48]))
    crop = crop_square(image, square_of_image(48, 48), 48)
    grey = image.pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(crop * 255, grey, atol=1.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (48, 48), (1200, 900)])
def test_any_image_gives_a_full_crop(size: tuple[int, int]) -> None:
    crop = crop_square(gradient(*size), square_of_image(*size), 48)
    assert crop.shape == (48, 48)
    assert crop.dtype == np.float32
    assert crop.min() >= 0
    assert crop.max() <= 1


@pytest.mark.parametrize("side", [60, 480, 3000])
def test_scale_keeps_the_content(side: int) -> None:
    image = disc(side, (side / 2, side / 2), side / 4)
    crop = crop_square(image, square_of_image(side, side), 48)
    assert crop.mean() == pytest.approx(math.pi / 16, abs=0.01)
    np.testing.assert_allclose(crop, crop[::-1], atol=0.1)
    np.testing.assert_allclose(crop, crop[:, ::-1], atol=0.1)


def test_turning_the_square_turns_the_crop() -> None:
    image = gradient(200, 200)
    upright = Square(center_x=100, center_y=100, side=80)
    turned = Square(center_x=100, center_y=100, side=80, angle=math.pi / 2)
    # The square turned clockwise sees the picture turned anticlockwise.
    np.testing.assert_allclose(
        crop_square(image, turned, 32),
        np.rot90(crop_square(image, upright, 32), 1).T[::-1].T,
        atol=0.02,
    )


def test_edge_pixels_continue_outside_the_image() -> None:
    image = gradient(50, 50)
    crop = crop_square(image, Square(center_x=50, center_y=25, side=40), 20)
    assert crop[:, 11:].min() > 0.97
    far = crop_square(image, Square(center_x=-500, center_y=-500, side=40), 20)
    np.testing.assert_allclose(far, 0.0, atol=1e-6)


def face_like(low: float, high: float) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(low, high, (48, 48)).astype(np.float32)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.55, 0.8), (0.9, 1.0)])
def test_a_flat_crop_is_stretched_to_the_whole_range(low: float, high: float) -> None:
    crop = stretched(face_like(low, high))
    assert crop.dtype == np.float32
    np.testing.assert_allclose(np.percentile(crop, [1, 99]), [0, 1], atol=1e-3)
    plain = face_like(0, 1)
    assert np.corrcoef(crop.ravel(), plain.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.55), (0.5, 0.505), (0.5, 0.5)])
def test_sufficient_or_zero_contrast_is_unchanged(low: float, high: float) -> None:
    np.testing.assert_array_equal(stretched(face_like(low, high)), face_like(low, high))


def test_every_crop_of_a_dark_image_is_stretched(astronaut: NDArray[np.uint8]) -> None:
    dark = RgbImage((astronaut * 0.15).astype(np.uint8))
    for square in (Square(center_x=226, center_y=130, side=120), square_of_image(512, 512)):
        crop, full = (crop_square(image, square, 48) for image in (dark, RgbImage(astronaut)))
        assert crop.max() > 0.99
        assert np.corrcoef(crop.ravel(), full.ravel())[0, 1] > 0.97


BOX = Box(left=10, top=20, right=86, bottom=120)


def landmarks(center: complex, side: float, angle: float) -> Landmarks:
    """FER2013's own landmarks in a square at this place, size and angle."""
    places = TEMPLATE @ (1, 1j) - (0.5 + 0.5j)
    points = center + side * np.exp(1j * angle) * places
    return Landmarks(*((float(p.real), float(p.imag)) for p in points))


def test_a_face_without_landmarks_is_cropped_by_its_box() -> None:
    square = square_of_face(Face(box=BOX, score=0.99))
    assert (square.center_x, square.center_y, square.angle) == (48, 70, 0)
    assert square.side == pytest.approx(94)


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("side", [70.0, 94.0, 120.0])
def test_landmarks_place_scale_and_turn_the_crop(side: float, angle: float) -> None:
    points = landmarks(50 + 72j, side, angle)
    square, residual = align(points.to_array().tolist(), FER2013_TEMPLATE.points)
    assert residual == pytest.approx(0, abs=1e-9)
    assert (square.center_x, square.center_y) == pytest.approx((50, 72))
    assert (square.side, square.angle) == pytest.approx((side, angle))


@pytest.mark.parametrize("side", [70.0, 94.0, 120.0])
def test_box_and_landmarks_are_both_used_for_place_and_scale(side: float) -> None:
    points = landmarks(50 + 72j, side, 0.5)
    square = square_of_face(Face(box=BOX, score=0.99, landmarks=points))
    assert square.angle == pytest.approx(0.5)
    assert (square.center_x, square.center_y) == pytest.approx((49.4, 71.4))
    assert square.side == pytest.approx(side**0.7 * 94**0.3)


def test_an_aligned_crop_has_the_eyes_where_the_template_has_them() -> None:
    points = landmarks(150 + 140j, 96, 0.4)
    pixels = np.zeros((300, 300, 3), dtype=np.uint8)
    for x, y in points.to_array()[:2]:
        pixels[round(y) - 3 : round(y) + 3, round(x) - 3 : round(x) + 3] = 255
    square, _ = align(points.to_array().tolist(), FER2013_TEMPLATE.points)
    crop = crop_square(RgbImage(pixels), square, 48)
    for x, y in TEMPLATE[:2] * 48:
        assert crop[int(y), int(x)] > 0.95
    assert crop[30:].max() == 0


@pytest.mark.parametrize(
    "points",
    [
        landmarks(48 + 70j, 20, 0.0),
        landmarks(48 + 70j, 300, 0.0),
        landmarks(148 + 70j, 94, 0.0),
        Landmarks((48, 70), (48, 70), (48, 70), (48, 70), (48, 70)),
        Landmarks((20, 100), (80, 40), (48, 70), (90, 40), (20, 30)),
    ],
    ids=["too small", "too large", "elsewhere", "one point", "scattered"],
)
def test_poor_landmarks_fall_back_to_the_box(points: Landmarks) -> None:
    face = Face(box=BOX, score=0.99, landmarks=points)
    assert square_of_face(face) == square_of_face(Face(box=BOX, score=0.99))
