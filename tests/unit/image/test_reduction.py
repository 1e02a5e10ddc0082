"""The size at which an image is analyzed depends on its size, never on how it is passed in."""

import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import FORMATS, LIMIT, encode_any
from PIL import Image

from mien.image import decode_image, load_image
from mien.types import RgbImage
from samples import encode

PHOTO = Path(__file__).parents[3] / "examples" / "astronaut.jpg"
ENOUGH = 1_800_000


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    """A photo of 12 megapixels."""
    with Image.open(PHOTO) as photo:
        return encode(photo.resize((4000, 3000), Image.Resampling.BICUBIC), "JPEG", quality=92)


def saved(data: bytes, folder: Path) -> Path:
    path = folder / "photo.jpg"
    path.write_bytes(data)
    return path


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def loaded(data: bytes) -> Image.Image:
    image = opened(data)
    image.load()
    return image


def array(data: bytes) -> np.ndarray:
    return np.asarray(opened(data))


INPUTS: dict[str, Callable[[bytes, Path], object]] = {
    "path": saved,
    "name": lambda data, folder: str(saved(data, folder)),
    "bytes": lambda data, _: data,
    "file object": lambda data, _: io.BytesIO(data),
    "PIL image, not loaded": lambda data, _: opened(data),
    "PIL image": lambda data, _: loaded(data),
    "PIL image, RGBA": lambda data, _: opened(data).convert("RGBA"),
    "array": lambda data, _: array(data),
    "float array": lambda data, _: array(data).astype(np.float32) / 255,
    "16-bit array": lambda data, _: array(data).astype(np.uint16) * 257,
    "RgbImage": lambda data, _: RgbImage(array(data)),
    "PNG": lambda data, _: encode(opened(data), "PNG", compress_level=1),
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_the_same_photo_in_any_form(
    jpeg: bytes, make: Callable[[bytes, Path], object], tmp_path: Path
) -> None:
    expected = decode_image(jpeg, max_pixels=LIMIT, enough_pixels=ENOUGH)
    image = load_image(make(jpeg, tmp_path), max_pixels=LIMIT, enough_pixels=ENOUGH)
    assert (image.width, image.height) == (2000, 1500)
    assert image.stored_size == (4000, 3000)
    difference = np.abs(image.pixels.astype(int) - expected.pixels)
    assert difference.mean() < 0.3
    assert difference.max() < 10


def test_bgr_is_reduced_too(jpeg: bytes) -> None:
    rgb = load_image(array(jpeg), max_pixels=LIMIT, enough_pixels=ENOUGH)
    bgr = load_image(
        np.ascontiguousarray(array(jpeg)[:, :, ::-1]),
        max_pixels=LIMIT,
        enough_pixels=ENOUGH,
        channels="bgr",
    )
    assert bgr.stored_size == (4000, 3000)
    assert np.array_equal(bgr.pixels, rgb.pixels)


def test_an_opened_jpeg_gives_exactly_the_pixels_of_its_file(jpeg: bytes) -> None:
    expected = decode_image(jpeg, max_pixels=LIMIT, enough_pixels=ENOUGH).pixels
    image = load_image(opened(jpeg), max_pixels=LIMIT, enough_pixels=ENOUGH)
    assert np.array_equal(image.pixels, expected)


def test_an_opened_jpeg_that_was_changed_before_it_was_decoded(jpeg: bytes) -> None:
    drafted = opened(jpeg)
    drafted.draft("L", (1000, 750))
    image = load_image(drafted, max_pixels=LIMIT, enough_pixels=None)
    assert (image.width, image.height, image.stored_size) == (1000, 750, None)
    frames = [Image.new("RGB", (64, 64), color) for color in ((255, 0, 0), (0, 0, 255))]
    second = opened(encode(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    second.seek(1)
    assert load_image(second, max_pixels=LIMIT).pixels[0, 0, 2] > 250


def test_a_pil_image_is_not_modified(jpeg: bytes) -> None:
    image = opened(jpeg)
    load_image(image, max_pixels=LIMIT, enough_pixels=1)
    assert (image.size, image.mode) == ((4000, 3000), "RGB")
    assert np.array_equal(np.asarray(image), array(jpeg))


def test_an_rgb_image_is_reduced_once(jpeg: bytes) -> None:
    once = load_image(jpeg, max_pixels=LIMIT, enough_pixels=ENOUGH)
    assert load_image(once, max_pixels=LIMIT, enough_pixels=1000) is once
    whole = load_image(jpeg, max_pixels=LIMIT)
    assert load_image(whole, max_pixels=LIMIT) is whole


@functools.cache
def turned(format_: str, orientation: int) -> bytes:
    """The file of an image of 515 x 513 pixels that is stored with an EXIF orientation."""
    with Image.open(PHOTO) as photo:
        upright = photo.crop((0, 0, 515, 513))
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose.ROTATE_90)
    tag = Image.Exif()
    tag[0x0112] = orientation
    match format_:
        case "grey JPEG" | "CMYK JPEG":
            mode = {"grey JPEG": "L", "CMYK JPEG": "CMYK"}[format_]
            return encode(stored.convert(mode), "JPEG", exif=tag)
        case "palette PNG":
            return encode(stored.quantize(16), "PNG", exif=tag)
        case "GIF" | "BMP":
            return encode(upright, format_)
    return encode_any(stored, format_, exif=tag.tobytes())


@pytest.mark.parametrize(
    ("enough", "factor"),
    [(None, 1), (512 * 512, 1), (257 * 256 + 1, 1), (257 * 256, 2), (128 * 128, 4), (1, 8)],
)
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("format_", [*FORMATS, "grey JPEG", "CMYK JPEG", "palette PNG"])
def test_factors(enough: int | None, factor: int, orientation: int, format_: str) -> None:
    data = turned(format_, orientation)
    for source in (data, opened(data)) if format_ != "HEIC" else (data,):
        image = load_image(source, max_pixels=LIMIT, enough_pixels=enough)
        assert image.stored_size == (None if factor == 1 else (515, 513))
        assert (image.width, image.height) == (-(-515 // factor), -(-513 // factor))


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (7, 7)])
def test_narrow_images_keep_their_pixels(size: tuple[int, int]) -> None:
    image = load_image(Image.new("RGB", size), max_pixels=LIMIT, enough_pixels=1)
    assert (image.width, image.height) == (size if 1 in size else (2, 2))
