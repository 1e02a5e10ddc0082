"""Paths, bytes, file objects and PIL images, and errors for what is none of them."""

import gzip
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from image_files import BLUE, GREY, LIMIT, RED, WHITE, decode, plain
from PIL import Image

from mien import errors
from mien.image import load_image


def test_paths(tmp_path: Path, face_photo: bytes) -> None:
    photo = tmp_path / "photo.txt"
    photo.write_bytes(face_photo)
    for path in (photo, str(photo)):
        assert np.array_equal(load_image(path, max_pixels=LIMIT).pixels, decode(face_photo))


def test_bad_paths(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.jpg"
    text.write_text("this is no photo")
    empty.write_bytes(b"")
    table = [
        (tmp_path / "none.jpg", "unreadable_file"),
        (tmp_path, "unreadable_file"),
        (text / "below", "unreadable_file"),
        (str(tmp_path / "nul\0.jpg"), "unreadable_file"),
        (text, "not_an_image"),
        (empty, "empty_upload"),
    ]
    for path, code in table:
        with pytest.raises(errors.ImageError) as caught:
            load_image(path, max_pixels=LIMIT)
        assert caught.value.code == code
        # The path is in a traceback, but not in the message, which may be sent elsewhere.
        assert str(tmp_path) not in caught.value.message
        assert str(caught.value) == f"{path}: {caught.value.message}"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    for path in (tmp_path / "photo.jpg", tmp_path):
        with pytest.raises(errors.UnreadableFileError):
            load_image(path, max_pixels=LIMIT)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes(face_photo: bytes, kind: type) -> None:
    assert load_image(kind(face_photo), max_pixels=LIMIT).width == 512


class Stream:
    """What a network connection offers: it reads once, and cannot go back."""

    def __init__(self, data: object) -> None:
        self._data = data

    def read(self) -> object:
        return self._data


def test_file_objects(tmp_path: Path, face_photo: bytes) -> None:
    path = tmp_path / "photo"
    path.write_bytes(face_photo)
    with (
        path.open("rb") as file,
        path.open("rb", buffering=0) as raw,
        tempfile.TemporaryFile() as new,
    ):
        new.write(face_photo)
        at_end = io.BytesIO(face_photo)
        at_end.read()
        # What has just been written or read is at its end: it is read from its start.
        for source in (file, raw, new, io.BytesIO(face_photo), at_end, Stream(face_photo)):
            for _ in range(2):
                pixels = load_image(source, max_pixels=LIMIT).pixels
                assert np.array_equal(pixels, decode(face_photo))
        assert not file.closed


def test_file_objects_that_do_not_give_bytes(tmp_path: Path) -> None:
    for source in (io.StringIO("photo"), Stream("photo"), Stream(None), Stream(7)):
        with pytest.raises(errors.InvalidParameterError) as caught:
            load_image(source, max_pixels=LIMIT)
        assert "bytes" in caught.value.message
    closed = io.BytesIO()
    closed.close()
    path = tmp_path / "write only"
    with path.open("wb") as file:
        for source in (closed, file, io.BytesIO):
            with pytest.raises(errors.UnreadableFileError):
                load_image(source, max_pixels=LIMIT)
    with pytest.raises(errors.EmptyUploadError):
        load_image(io.BytesIO(), max_pixels=LIMIT)


def test_file_objects_with_their_own_errors(face_photo: bytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("face.jpg", face_photo)
    broken = zipfile.ZipFile(io.BytesIO(packed.getvalue().replace(face_photo[-99:], b"0" * 99)))
    cut_off = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(face_photo)[:99]))
    for source in (cut_off, broken.open("face.jpg")):
        with pytest.raises(errors.UnreadableFileError):
            load_image(source, max_pixels=LIMIT)


@pytest.mark.parametrize("thing", [None, 7, ["photo.jpg"], object(), 1.5])
def test_what_is_not_an_image(thing: object) -> None:
    with pytest.raises(errors.InvalidParameterError) as caught:
        load_image(thing, max_pixels=LIMIT)
    assert type(thing).__name__ in caught.value.message


def test_order_of_channels_is_for_arrays(tmp_path: Path, face_photo: bytes) -> None:
    image = Image.open(io.BytesIO(face_photo))
    for thing in (tmp_path / "photo.jpg", face_photo, io.BytesIO(face_photo), image, None):
        with pytest.raises(errors.InvalidParameterError):
            load_image(thing, max_pixels=LIMIT, channels="bgr")


@pytest.mark.parametrize("channels", ["BGR", "", None, ["bgr"], "rgba"])
def test_unknown_order_of_channels(face_photo: bytes, channels: object) -> None:
    with pytest.raises(errors.InvalidParameterError):
        load_image(face_photo, max_pixels=LIMIT, channels=channels)


def floats(value: float) -> Image.Image:
    return Image.fromarray(np.array([[value, 1.0], [0.0, 0.25]], np.float32))


MODES = {
    "1": (Image.new("1", (2, 2), 1), WHITE),
    "L": (Image.new("L", (2, 2), 128), GREY),
    "LA": (Image.new("LA", (2, 2), (0, 0)), WHITE),
    "La": (Image.new("La", (2, 2), (0, 0)), WHITE),
    "P": (Image.new("RGB", (2, 2), BLUE).quantize(2), BLUE),
    "PA": (Image.new("RGBA", (2, 2), (9, 9, 9, 0)).convert("PA"), WHITE),
    "RGB": (Image.new("RGB", (2, 2), RED), RED),
    "RGBA": (Image.new("RGBA", (2, 2), (*RED, 255)), RED),
    "RGBa": (Image.new("RGBa", (2, 2), (*RED, 255)), RED),
    "RGBX": (Image.new("RGBX", (2, 2), (*RED, 0)), RED),
    "CMYK": (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), RED),
    "YCbCr": (Image.new("RGB", (2, 2), RED).convert("YCbCr"), RED),
    "HSV": (Image.new("HSV", (2, 2), (0, 255, 255)), RED),
    "I, 8 bits": (Image.new("I", (2, 2), 128), GREY),
    "I, 10 bits": (Image.new("I", (2, 2), 128 << 2), GREY),
    "I, 16 bits": (Image.new("I", (2, 2), 128 << 8), GREY),
    "I, negative": (Image.new("I", (2, 2), -5), (0, 0, 0)),
    "I, large": (Image.new("I", (2, 2), 1 << 20), WHITE),
    "I;16": (Image.new("I;16", (2, 2), 128 << 8), GREY),
    "I;16, 12 bits": (Image.new("I;16", (2, 2), 128 << 4), GREY),
    "I;16B": (Image.new("I;16B", (2, 2), 128 << 8), GREY),
    "F": (Image.new("F", (2, 2), 128.0), GREY),
    "F, up to 1": (floats(0.5), GREY),
    "F, negative": (Image.new("F", (2, 2), -3.0), (0, 0, 0)),
}


@pytest.mark.parametrize(("image", "expected"), MODES.values(), ids=MODES)
def test_pil_images_of_any_mode(image: Image.Image, expected: tuple[int, int, int]) -> None:
    mode, before = image.mode, image.tobytes()
    pixels = load_image(image, max_pixels=LIMIT).pixels
    assert pixels.shape == (2, 2, 3)
    assert np.abs(pixels[0, 0].astype(int) - expected).max() <= 2
    assert (image.mode, image.size, image.tobytes()) == (mode, (2, 2), before)


def test_unusable_pil_images(face_photo: bytes) -> None:
    for image in (Image.new("RGB", (0, 2)), floats(np.nan), floats(np.inf)):
        with pytest.raises(errors.InvalidParameterError):
            load_image(image, max_pixels=LIMIT)
    with pytest.raises(errors.TruncatedImageError):
        load_image(Image.open(io.BytesIO(face_photo[:9000])), max_pixels=LIMIT)


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_pil_images_that_were_closed_before_they_were_decoded(format_: str) -> None:
    with Image.open(io.BytesIO(plain(format_))) as image:
        pass
    stream = io.BytesIO(plain(format_))
    other = Image.open(stream)
    stream.close()
    for closed in (image, other):
        with pytest.raises(errors.ImageError):
            load_image(closed, max_pixels=LIMIT)


def test_pil_image_of_another_format_is_accepted() -> None:
    """The formats that are not supported are those of files: here Pillow has read it already."""
    with Image.open(io.BytesIO(plain("TIFF"))) as image:
        assert load_image(image, max_pixels=LIMIT).pixels[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", "s3://bucket/a.jpg"])
def test_a_url_is_named_as_it_was_given(url: str) -> None:
    with pytest.raises(errors.UnreadableFileError) as caught:
        load_image(url, max_pixels=100)
    assert str(caught.value).startswith(f"{url}: ")
    assert "downloaded" in caught.value.message


def test_an_empty_path_is_called_empty() -> None:
    with pytest.raises(errors.InvalidParameterError, match="empty"):
        load_image("", max_pixels=100)
