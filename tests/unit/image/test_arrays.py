"""Arrays of each shape and dtype that is accepted, and errors that describe all others."""

import numpy as np
import pytest
from image_files import LIMIT, WHITE
from PIL import Image

from mien import errors
from mien.image import load_image


def load(array: np.ndarray, **options: str) -> np.ndarray:
    image = load_image(array, max_pixels=LIMIT, **options)
    assert image.stored_size is None
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.c_contiguous
    return image.pixels


def test_rgb(astronaut: np.ndarray) -> None:
    assert np.array_equal(load(astronaut), astronaut)
    assert np.array_equal(load(astronaut[:, ::-1]), astronaut[:, ::-1])
    assert np.array_equal(load(np.asfortranarray(astronaut)), astronaut)


def test_rgb_is_not_copied(astronaut: np.ndarray) -> None:
    assert np.shares_memory(load(astronaut), astronaut)


@pytest.mark.parametrize("shape", [(512, 512), (512, 512, 1)])
def test_grey(astronaut: np.ndarray, shape: tuple[int, ...]) -> None:
    grey = astronaut[:, :, 1]
    assert np.array_equal(load(grey.reshape(shape)), np.repeat(grey[:, :, None], 3, axis=2))


def test_rgba_is_composited_on_white(astronaut: np.ndarray) -> None:
    alpha = np.linspace(0, 255, 512).astype(np.uint8)[None, :, None].repeat(512, axis=0)
    rgba = np.concatenate([astronaut, alpha], axis=2)
    pixels = load(rgba)
    assert pixels[0, 0].tolist() == list(WHITE)
    assert np.array_equal(pixels, load_image(Image.fromarray(rgba), max_pixels=LIMIT).pixels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats(astronaut: np.ndarray, dtype: object) -> None:
    for array in (astronaut, astronaut[:, :, 0]):
        floats = (array / 255).astype(dtype)
        difference = np.abs(load(floats).astype(int) - load(array))
        assert difference.max() <= (1 if dtype is np.float16 else 0)


def test_rounding_errors_of_floats_are_clipped() -> None:
    floats = np.array([[-1e-7, 1 + 1e-7]], np.float64)
    assert load(floats)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.uint16, ">u2"])
def test_16_bit_arrays_are_scaled_to_the_range_of_their_data(bits: int, dtype: object) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None, :] * 2 ** (bits - 8)
    expected = np.arange(256)
    assert np.array_equal(load(ramp.astype(dtype))[0, :, 0], expected)
    assert np.array_equal(load(np.dstack([ramp] * 3).astype(dtype))[0, :, 2], expected)
    # Alpha may use another range than the colors.
    opaque = np.full_like(ramp, 65535)
    assert np.array_equal(load(np.dstack([ramp] * 3 + [opaque]).astype(dtype))[0, :, 0], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 4)])
def test_bgr(dtype: type, shape: tuple[int, ...]) -> None:
    unit = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    rgb = (np.random.default_rng(0).integers(0, 256, shape) * unit).astype(dtype)
    bgr = rgb.copy()
    bgr[:, :, :3] = rgb[:, :, 2::-1]
    assert np.array_equal(load(bgr, channels="bgr"), load(rgb))
    # Grey has no order of colors.
    assert np.array_equal(load(rgb[:, :, 0], channels="bgr"), load(rgb[:, :, 0]))


BAD_SHAPES = {
    "no pixels": (0, 5, 3),
    "one row": (5,),
    "a number": (),
    "two channels": (4, 5, 2),
    "five channels": (4, 5, 5),
    "channels first": (3, 4, 5),
    "a batch": (1, 4, 5, 3),
}


@pytest.mark.parametrize("shape", BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(errors.InvalidParameterError) as caught:
        load(np.zeros(shape, np.uint8))
    assert str(shape) in caught.value.message
    assert "(H, W, 3)" in caught.value.message


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "int32", "int64", "uint32", "complex64", "object", "U1"]
)
def test_other_dtypes(dtype: str) -> None:
    with pytest.raises(errors.InvalidParameterError) as caught:
        load(np.zeros((4, 5, 3), dtype))
    assert str(np.dtype(dtype)) in caught.value.message
    assert "uint8" in caught.value.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.1, 255.0])
def test_floats_out_of_range(value: float) -> None:
    array = np.full((4, 5, 3), 0.5, np.float32)
    array[1, 2, 0] = value
    with pytest.raises(errors.InvalidParameterError) as caught:
        load(array)
    assert f"{value:g}" in caught.value.message
    assert "0 to 1" in caught.value.message
