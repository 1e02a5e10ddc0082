"""What the decoder makes of sound pictures, odd ones and things that are none."""

import io
import struct
import threading
import zlib
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mien import errors
from mien.image import decode_image, load_image
from mien.image.container import distil
from mien.types import RgbImage
from samples import encode

LIMIT = 50_000_000
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128,) * 3


def decode(data: bytes) -> np.ndarray:
    image = decode_image(data, max_pixels=LIMIT)
    assert image.pixels.flags.c_contiguous
    return image.pixels


def png_chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png(
    width: int, height: int, *, bits: int, colour: int, rows: bytes, extra: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def plain(
    format_: str, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 6)
) -> bytes:
    return encode(Image.new("RGB", size, colour), format_)


def exif(value: int, *, order: str = "II", kind: int = 3) -> bytes:
    o = "<" if order == "II" else ">"
    packed = struct.pack(f"{o}{ {1: 'B3x', 3: 'H2x', 4: 'I', 5: 'I'}[kind] }", value)
    directory = struct.pack(f"{o}HIHHHI", 42, 8, 1, 0x0112, kind, 1) + packed + bytes(4)
    return b"Exif\0\0" + order.encode() + directory


def huge_header() -> bytes:
    return png(30_000, 30_000, bits=8, colour=2, rows=b"")


def webp_header(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\x64\0\0\0WEBP" + kind + struct.pack("<I", len(body)) + body + bytes(100)


REFUSED = {
    "nothing": (b"", errors.EmptyUploadError, "no bytes"),
    "text": (b"BMX bikes and a lot of text", errors.NotAnImageError, "not a picture"),
    "one byte": (b"\xff", errors.NotAnImageError, "not a picture"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", errors.NotAnImageError, "not a picture"),
    "sound in RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", errors.NotAnImageError, "not a picture"),
    "HTML": (b"<!doctype html><html><body>", errors.NotAnImageError, "not a picture"),
    "GIF": (plain("GIF"), errors.UnsupportedFormatError, "GIF"),
    "BMP": (plain("BMP"), errors.UnsupportedFormatError, "BMP"),
    "TIFF": (plain("TIFF"), errors.UnsupportedFormatError, "TIFF"),
    "ICO": (encode(Image.new("RGB", (32, 32)), "ICO"), errors.UnsupportedFormatError, "ICO"),
    "PPM": (plain("PPM"), errors.UnsupportedFormatError, "PNM"),
    "JPEG 2000": (plain("JPEG2000"), errors.UnsupportedFormatError, "JPEG 2000"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0", errors.UnsupportedFormatError, "HEIC"),
    "AVIF": (b"\0\0\0\x18ftypavif\0\0\0\0", errors.UnsupportedFormatError, "AVIF"),
    "PSD": (b"8BPS\0\x01", errors.UnsupportedFormatError, "PSD"),
    "JPEG XL": (b"\xff\x0a\xfa\x1f", errors.UnsupportedFormatError, "JPEG XL"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="x">', errors.UnsupportedFormatError, "SVG"),
    "12-bit JPEG": (
        b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\x01\x01\x11\0\xff\xda",
        errors.UnsupportedFormatError,
        "12 bits",
    ),
    "PNG of 30,000 x 30,000": (huge_header(), errors.ImageTooLargeError, "30000 x 30000"),
    "WebP of 16,000 x 16,000": (
        webp_header(b"VP8X", bytes(4) + (15_999).to_bytes(3, "little") * 2),
        errors.ImageTooLargeError,
        "16000 x 16000",
    ),
    "lossy WebP of 16,000 x 16,000": (
        webp_header(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_000, 16_000)),
        errors.ImageTooLargeError,
        "16000 x 16000",
    ),
    "lossless WebP of 16,000 x 16,000": (
        webp_header(b"VP8L", b"\x2f" + struct.pack("<I", 15_999 | 15_999 << 14) + bytes(5)),
        errors.ImageTooLargeError,
        "16000 x 16000",
    ),
    "WebP of an unknown kind": (
        webp_header(b"VP9 ", bytes(10)),
        errors.TruncatedImageError,
        "ends before",
    ),
    "WebP that is only a start": (
        b"RIFF\x10\0\0\0WEBPVP8 ",
        errors.TruncatedImageError,
        "ends before",
    ),
    "JPEG that is only a start": (
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        errors.TruncatedImageError,
        "ends before",
    ),
    "JPEG without a picture": (
        b"\xff\xd8\xff\xd9",
        errors.TruncatedImageError,
        "ends before",
    ),
    "PNG that is only a start": (
        b"\x89PNG\r\n\x1a\n",
        errors.TruncatedImageError,
        "cut off or corrupt",
    ),
}


@pytest.mark.parametrize(("data", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, kind: type[errors.ImageError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        decode(data)
    assert type(caught.value) is kind
    assert "PIL" not in caught.value.message


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off(astronaut: np.ndarray, format_: str, share: float) -> None:
    data = encode(Image.fromarray(astronaut), format_)
    with pytest.raises(errors.TruncatedImageError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (13, 17), (1, 300)])
def test_small_pictures(format_: str, size: tuple[int, int]) -> None:
    pixels = decode(plain(format_, size=size))
    assert pixels.shape == (size[1], size[0], 3)
    assert np.abs(pixels[0, 0].astype(int) - RED).max() < 6


def cmyk_jpeg() -> bytes:
    # Pillow writes, as Photoshop does, inverted values with an Adobe marker.
    return encode(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", quality=100)


def palette_with_transparency() -> bytes:
    picture = Image.new("P", (8, 6), 1)
    picture.putpalette([0, 0, 255, 255, 0, 0])
    picture.putpixel((7, 5), 0)
    return encode(picture, "PNG", transparency=bytes([0, 255]))


COLOURS = {
    "grey JPEG": (encode(Image.new("L", (8, 6), 128), "JPEG"), GREY),
    "CMYK JPEG": (cmyk_jpeg(), RED),
    "progressive JPEG": (
        encode(Image.new("RGB", (8, 6), RED), "JPEG", progressive=True, quality=95),
        RED,
    ),
    "1 bit": (encode(Image.new("1", (8, 6), 1), "PNG"), WHITE),
    "grey": (encode(Image.new("L", (8, 6), 128), "PNG"), GREY),
    "grey, half opaque": (encode(Image.new("LA", (8, 6), (0, 127)), "PNG"), GREY),
    "16-bit grey": (png(1, 1, bits=16, colour=0, rows=b"\0\x80\x00"), GREY),
    "16-bit colour": (png(1, 1, bits=16, colour=2, rows=b"\0\xff\xff\0\0\0\0"), RED),
    "16-bit colour, opaque": (
        png(1, 1, bits=16, colour=6, rows=b"\0\xff\xff\0\0\0\0\xff\xff"),
        RED,
    ),
    "colour, transparent": (encode(Image.new("RGBA", (8, 6), (0, 0, 0, 0)), "PNG"), WHITE),
    "colour with a transparent one": (
        encode(Image.new("RGB", (8, 6), RED), "PNG", transparency=(255, 0, 0)),
        WHITE,
    ),
    "grey with a transparent one": (
        encode(Image.new("L", (8, 6), 9), "PNG", transparency=9),
        WHITE,
    ),
    "16-bit grey with a transparent one": (
        png(1, 1, bits=16, colour=0, rows=b"\0\x80\x00", extra=png_chunk(b"tRNS", b"\x80\x00")),
        WHITE,
    ),
    "16-bit colour with a transparent one": (
        png(
            1,
            1,
            bits=16,
            colour=2,
            rows=b"\0\xff\xff\0\0\0\0",
            extra=png_chunk(b"tRNS", b"\xff\xff\0\0\0\0"),
        ),
        WHITE,
    ),
    "palette": (encode(Image.new("RGB", (8, 6), BLUE).quantize(4), "PNG"), BLUE),
    "palette with transparency": (palette_with_transparency(), RED),
    "lossless WebP": (encode(Image.new("RGB", (8, 6), BLUE), "WEBP", lossless=True), BLUE),
    "transparent WebP": (
        encode(Image.new("RGBA", (8, 6), (255, 0, 0, 0)), "WEBP", lossless=True),
        WHITE,
    ),
}


@pytest.mark.parametrize(("data", "expected"), COLOURS.values(), ids=COLOURS)
def test_colours(data: bytes, expected: tuple[int, int, int]) -> None:
    assert np.abs(decode(data)[0, 0].astype(int) - expected).max() <= 3


def test_transparent_palette_entry_is_white() -> None:
    assert decode(palette_with_transparency())[5, 7].tolist() == list(WHITE)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.arange(0, 65536, 256, dtype=np.uint16)
    pixels = decode(encode(Image.fromarray(ramp[None, :]), "PNG"))
    assert pixels[0, :, 0].tolist() == list(range(256))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation(astronaut: np.ndarray, value: int, format_: str, order: str) -> None:
    upright = Image.fromarray(astronaut[:96, :144])
    stored = upright.transpose(UNDO[value]) if value in UNDO else upright
    options = {"lossless": True} if format_ == "WEBP" else {"quality": 95}
    data = encode(stored, format_, exif=exif(value, order=order), **options)
    for pixels in (
        decode(data),
        load_image(Image.open(io.BytesIO(data)), max_pixels=LIMIT).pixels,
    ):
        assert pixels.shape == (96, 144, 3)
        assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < 4


UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

BROKEN_EXIF = {
    "empty": b"Exif\0\0",
    "no byte order": b"Exif\0\0XX" + bytes(20),
    "directory outside": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "directory cut off": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x01",
    "value out of range": exif(9),
    "value of an odd type": exif(0, kind=5),
    "tag that points outside": (
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x10F, 2, 999, 9999)
    ),
}


@pytest.mark.parametrize("block", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_matter(block: bytes, format_: str) -> None:
    data = encode(Image.new("RGB", (8, 6), RED), format_, exif=block)
    assert decode(data).shape == (6, 8, 3)


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation_in_any_kind_of_integer(kind: int, order: str) -> None:
    data = encode(Image.new("RGB", (8, 6)), "JPEG", exif=exif(6, order=order, kind=kind))
    assert decode(data).shape == (8, 6, 3)


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_first_frame_of_an_animation(format_: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    data = encode(frames[0], format_, save_all=True, append_images=frames[1:], lossless=True)
    assert decode(data)[0, 0].tolist() == list(RED)


def test_broken_animation_is_its_still_picture() -> None:
    odd = png_chunk(b"acTL", bytes(8))
    rows = b"\0" + bytes(RED)
    assert decode(png(1, 1, bits=8, colour=2, rows=rows, extra=odd))[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt"])
def test_compressed_bomb_beside_the_pixels_is_left_alone(name: bytes) -> None:
    bomb = png_chunk(name, b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    rows = b"\0" + bytes(RED)
    data = png(1, 1, bits=8, colour=2, rows=rows, extra=bomb)
    assert decode(data)[0, 0].tolist() == list(RED)


def test_text_after_the_pixels_is_left_alone() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000)), after_idat=True)
    assert decode(encode(Image.new("RGB", (2, 2), RED), "PNG", pnginfo=info)).shape == (2, 2, 3)


def test_odd_bytes_between_jpeg_segments(face_photo: bytes) -> None:
    odd = face_photo[:2] + b"\xff\xff\xff\x01\x00junk" + face_photo[2:]
    assert np.array_equal(decode(odd), decode(face_photo))


def test_comments_thumbnails_and_trailing_bytes_do_not_matter(face_photo: bytes) -> None:
    comment = b"\xff\xfe\0\x06\xff\xda\xff\xda"
    odd = face_photo[:2] + comment * 300 + face_photo[2:] + b"\xff\xda" * 300
    assert np.array_equal(decode(odd), decode(face_photo))


def test_too_many_scans() -> None:
    data = encode(Image.new("RGB", (64, 64), RED), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], b"\xff\xd9"
    assert decode(data[:-2] + scan * 2 + end).shape == (64, 64, 3)
    # A marker without length does not hide what follows it.
    for scans in (scan * 100, b"\xff\x01\xff\0" + scan * 100):
        with pytest.raises(errors.TruncatedImageError, match="scans"):
            decode(data[:-2] + scans + end)


def test_many_scans_of_many_pixels() -> None:
    data = encode(Image.new("RGB", (6000, 5000), RED), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan, end = data[last:-2], b"\xff\xd9"
    scans = data.count(b"\xff\xda")
    for count, sound in ((33 - scans, True), (34 - scans, False)):
        larger = data[:-2] + scan * count + end
        if sound:
            assert distil("JPEG", larger).data
            continue
        with pytest.raises(errors.ImageTooLargeError, match="more than 33 scans"):
            decode(larger)
    # What encoders make is read whatever the size.
    frame = data.index(b"\xff\xc2") + 5
    huge = data[:frame] + b"\xff\xff\xff\xff" + data[frame + 4 :]
    assert distil("JPEG", huge).data


@pytest.mark.parametrize("filler", [b"\xff\xe1\0\x02", b"\xff", b"\xff\x01"])
def test_endless_segments_take_no_time(filler: bytes) -> None:
    started = process_time()
    with pytest.raises(errors.TruncatedImageError):
        decode(b"\xff\xd8\xff" + filler * (20_000_000 // len(filler)))
    # Hundredths of a second of work; seconds, if each one were looked at.
    assert process_time() - started < 1


def test_endless_segments_between_scans(face_photo: bytes) -> None:
    scan = face_photo.index(b"\xff\xda") + 14
    with pytest.raises(errors.TruncatedImageError, match="scans"):
        decode(face_photo[:scan] + b"\xff\xe1\0\x02" * 20_000)


def test_limit_is_inclusive_and_also_for_pictures_in_memory(astronaut: np.ndarray) -> None:
    photo, pixels = plain("PNG", size=(20, 10)), astronaut[:10, :20]
    for picture in (photo, pixels, Image.fromarray(pixels), RgbImage(pixels.copy())):
        assert load_image(picture, max_pixels=200).width == 20
        with pytest.raises(errors.ImageTooLargeError, match="20 x 10"):
            load_image(picture, max_pixels=199)


def test_a_limit_above_pillows_own_is_kept_without_a_warning() -> None:
    with pytest.raises(errors.TruncatedImageError):
        decode_image(huge_header(), max_pixels=10**9)
    canvas = webp_header(b"VP8X", bytes(4) + (15_999).to_bytes(3, "little") * 2)
    with pytest.raises((errors.ImageTooLargeError, errors.TruncatedImageError)):
        decode_image(canvas, max_pixels=10**9)


def test_threads_share_the_decoder(face_photo: bytes) -> None:
    expected, same = decode(face_photo), []
    threads = [
        threading.Thread(target=lambda: same.append(np.array_equal(decode(face_photo), expected)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 8


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
        (tmp_path / "none.jpg", errors.UnreadableFileError, "no such file"),
        (tmp_path, errors.UnreadableFileError, "folder"),
        (text / "below", errors.UnreadableFileError, "can't be read"),
        (str(tmp_path / "nul\0.jpg"), errors.UnreadableFileError, "can't be read"),
        (text, errors.NotAnImageError, "not a picture"),
        (empty, errors.EmptyUploadError, "no bytes"),
    ]
    for path, kind, words in table:
        with pytest.raises(kind, match=words) as caught:
            load_image(path, max_pixels=LIMIT)
        # The name stands in a traceback, but not in the message, which may be sent elsewhere.
        assert str(tmp_path) not in caught.value.message
        assert str(caught.value) == f"{path}: {caught.value.message}"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(errors.UnreadableFileError, match="no permission"):
        load_image(tmp_path / "photo.jpg", max_pixels=LIMIT)
    with pytest.raises(errors.UnreadableFileError, match="folder"):
        load_image(tmp_path, max_pixels=LIMIT)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes(face_photo: bytes, kind: type) -> None:
    assert load_image(kind(face_photo), max_pixels=LIMIT).width == 512


BAD_ARRAYS = {
    "no pixels": np.zeros((0, 5, 3), np.uint8),
    "grey": np.zeros((4, 5), np.uint8),
    "four channels": np.zeros((4, 5, 4), np.uint8),
    "channels first": np.zeros((3, 4, 5), np.uint8),
    "a batch": np.zeros((1, 4, 5, 3), np.uint8),
    "float": np.zeros((4, 5, 3), np.float32),
    "int64": np.zeros((4, 5, 3), np.int64),
}


@pytest.mark.parametrize("array", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_arrays_of_another_shape_or_type(array: np.ndarray) -> None:
    with pytest.raises(errors.InvalidParameterError, match=r"\(H, W, 3\) uint8.*got") as caught:
        load_image(array, max_pixels=LIMIT)
    assert str(array.shape) in caught.value.message
    assert str(array.dtype) in caught.value.message


def test_arrays(astronaut: np.ndarray) -> None:
    assert load_image(astronaut, max_pixels=LIMIT).pixels is not None
    mirrored = load_image(astronaut[:, ::-1], max_pixels=LIMIT)
    assert mirrored.pixels.flags.c_contiguous
    assert np.array_equal(mirrored.pixels, astronaut[:, ::-1])


@pytest.mark.parametrize("thing", [None, 7, ["photo.jpg"], object()])
def test_what_is_no_picture(thing: object) -> None:
    with pytest.raises(errors.InvalidParameterError, match="expected a path"):
        load_image(thing, max_pixels=LIMIT)


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
    "I, 16 bits": (Image.new("I", (2, 2), 128 << 8), GREY),
    "I, negative": (Image.new("I", (2, 2), -5), (0, 0, 0)),
    "I;16": (Image.new("I;16", (2, 2), 128 << 8), GREY),
    "I;16B": (Image.new("I;16B", (2, 2), 128 << 8), GREY),
    "F": (Image.new("F", (2, 2), 128.0), GREY),
}


@pytest.mark.parametrize(("picture", "expected"), MODES.values(), ids=MODES)
def test_pil_images_of_any_mode(picture: Image.Image, expected: tuple[int, int, int]) -> None:
    pixels = load_image(picture, max_pixels=LIMIT).pixels
    assert pixels.shape == (2, 2, 3)
    assert np.abs(pixels[0, 0].astype(int) - expected).max() <= 2


def test_pil_images_that_can_not_be_used(face_photo: bytes) -> None:
    with pytest.raises(errors.InvalidParameterError, match="no pixels"):
        load_image(Image.new("RGB", (0, 2)), max_pixels=LIMIT)
    with pytest.raises(errors.TruncatedImageError):
        load_image(Image.open(io.BytesIO(face_photo[:9000])), max_pixels=LIMIT)


def test_pil_image_of_another_format_is_taken() -> None:
    with Image.open(io.BytesIO(plain("GIF"))) as picture:
        assert load_image(picture, max_pixels=LIMIT).pixels[0, 0].tolist() == list(RED)


@pytest.mark.parametrize(
    ("enough", "factor"),
    [(None, 1), (512 * 512, 1), (257 * 256 + 1, 1), (257 * 256, 2), (128 * 128, 4), (1, 8)],
)
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_as_small_as_is_enough(
    astronaut: np.ndarray, enough: int | None, factor: int, orientation: int, mode: str
) -> None:
    picture = Image.fromarray(astronaut[:, :510]).convert(mode).crop((0, 0, 515, 513))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(picture, "JPEG", exif=exif)
    image = decode_image(data, max_pixels=LIMIT, enough_pixels=enough)
    size = (515, 513) if orientation == 1 else (513, 515)
    assert image.stored_size == (None if factor == 1 else size)
    assert (image.width, image.height) == tuple(-(-side // factor) for side in size)


def test_what_is_no_jpeg_keeps_its_pixels(astronaut: np.ndarray) -> None:
    for kind in ("PNG", "WebP"):
        data = encode(Image.fromarray(astronaut), kind)
        assert decode_image(data, max_pixels=LIMIT, enough_pixels=1).stored_size is None
