"""JPEG files that lack their end, have too many scans, or odd bytes between their segments."""

from time import process_time

import numpy as np
import pytest
from image_files import RED, decode
from PIL import Image

from mien import errors
from mien.image import decode_image
from mien.image.strip import strip_metadata
from samples import encode

KINDS = {
    "baseline": ("RGB", {}),
    "progressive": ("RGB", {"progressive": True}),
    "grey": ("L", {}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "full chroma": ("RGB", {"subsampling": 0}),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def jpeg(request: pytest.FixtureRequest, astronaut: np.ndarray) -> bytes:
    mode, options = request.param
    return encode(Image.fromarray(astronaut).convert(mode), "JPEG", **options)


@pytest.mark.parametrize(
    "end", [b"", b"\xff", bytes(1), bytes(64), bytes(100_000)], ids=lambda end: f"{len(end)}"
)
def test_only_the_end_marker_is_missing(jpeg: bytes, end: bytes) -> None:
    changed = jpeg.removesuffix(b"\xff\xd9") + end
    assert np.array_equal(decode(changed), decode(jpeg))
    reduced = decode_image(changed, max_pixels=10**6, enough_pixels=1)
    assert reduced.stored_size == (512, 512)


@pytest.mark.parametrize("padding", [0, 1, 5_000])
@pytest.mark.parametrize("missing", [40, 400, 4_000, 20_000])
def test_part_of_a_scan_is_missing(jpeg: bytes, missing: int, padding: int) -> None:
    with pytest.raises(errors.TruncatedImageError):
        decode(jpeg[:-missing] + bytes(padding))
    # Whether an image is complete does not depend on how small it is decoded.
    with pytest.raises(errors.TruncatedImageError):
        decode_image(jpeg[:-missing] + bytes(padding), max_pixels=10**6, enough_pixels=1)


def test_whole_scans_are_missing(astronaut: np.ndarray) -> None:
    data = encode(Image.fromarray(astronaut), "JPEG", progressive=True)
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    for start in starts[1:]:
        # A table of codes may stand before the scan.
        table = data.rfind(b"\xff\xc4", 0, start)
        for end in (start, table):
            with pytest.raises(errors.TruncatedImageError):
                decode(data[:end])


def test_a_component_is_missing(astronaut: np.ndarray) -> None:
    """A JPEG may give each color a scan of its own; the file then ends after the first."""
    grey = encode(Image.fromarray(astronaut).convert("L"), "JPEG")
    frame = grey.index(b"\xff\xc0")
    three = bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    header = b"\xff\xc0\0\x11" + grey[frame + 4 : frame + 9] + b"\x03" + three
    data = grey[:frame] + header + grey[frame + 13 : -2]
    with pytest.raises(errors.TruncatedImageError):
        decode(data)


def test_odd_bytes_between_segments(face_photo: bytes) -> None:
    odd = face_photo[:2] + b"\xff\xff\xff\x01\x00junk" + face_photo[2:]
    assert np.array_equal(decode(odd), decode(face_photo))


def test_comments_thumbnails_and_trailing_bytes_do_not_matter(face_photo: bytes) -> None:
    comment = b"\xff\xfe\0\x06\xff\xda\xff\xda"
    odd = face_photo[:2] + comment * 300 + face_photo[2:] + b"\xff\xda" * 300
    assert np.array_equal(decode(odd), decode(face_photo))


def test_two_images_in_one_file(face_photo: bytes) -> None:
    """Phones write such files (MPO); the first image is decoded."""
    frames = [Image.new("RGB", (64, 64), color) for color in (RED, (0, 0, 255))]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.abs(decode(data)[0, 0].astype(int) - RED).max() < 6


def test_too_many_scans() -> None:
    data = encode(Image.new("RGB", (64, 64), RED), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], b"\xff\xd9"
    assert decode(data[:-2] + scan * 2 + end).shape == (64, 64, 3)
    # A marker without length does not hide what follows it.
    for scans in (scan * 100, b"\xff\x01\xff\0" + scan * 100):
        for ending in (end, b""):
            with pytest.raises(errors.TruncatedImageError):
                decode(data[:-2] + scans + ending)


def test_many_scans_of_many_pixels() -> None:
    data = encode(Image.new("RGB", (6000, 5000), RED), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], b"\xff\xd9"
    scans = data.count(b"\xff\xda")
    assert strip_metadata("JPEG", data[:-2] + scan * (33 - scans) + end).data
    with pytest.raises(errors.ImageTooLargeError):
        decode(data[:-2] + scan * (34 - scans) + end)
    # What encoders write is read whatever the size.
    frame = data.index(b"\xff\xc2") + 5
    huge = data[:frame] + b"\xff\xff\xff\xff" + data[frame + 4 :]
    assert strip_metadata("JPEG", huge).data


@pytest.mark.parametrize("filler", [b"\xff\xe1\0\x02", b"\xff", b"\xff\x01"])
def test_endless_segments_are_handled_quickly(filler: bytes) -> None:
    started = process_time()
    with pytest.raises(errors.TruncatedImageError):
        decode(b"\xff\xd8\xff" + filler * (20_000_000 // len(filler)))
    # Hundredths of a second of work; seconds, if each one were looked at.
    assert process_time() - started < 1


def test_endless_segments_between_scans(face_photo: bytes) -> None:
    scan = face_photo.index(b"\xff\xda") + 14
    with pytest.raises(errors.TruncatedImageError):
        decode(face_photo[:scan] + b"\xff\xe1\0\x02" * 20_000)
