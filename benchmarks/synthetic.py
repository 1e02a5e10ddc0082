"""Photos for benchmarks: synthetic ones with a known number of faces, and resized ones."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

PORTRAIT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
# The face with some background: left, top, right and bottom in the portrait's 512 x 512 pixels.
FACE_AREA = (150, 0, 300, 200)
SMALL_FACE_PX = 14


def one_face(width: int, height: int) -> bytes:
    """Return a JPEG with the portrait at full size on a plain background."""
    side = min(width, height)
    portrait = Image.open(PORTRAIT).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    canvas = portrait.resize((1, 1), Image.Resampling.BOX).resize((width, height))
    canvas.paste(portrait, ((width - side) // 2, (height - side) // 2))
    return _jpeg(canvas)


def many_faces(width: int, height: int, columns: int, rows: int) -> bytes:
    """Return a JPEG with the same face ``columns * rows`` times on a plain background."""
    face = Image.open(PORTRAIT).convert("RGB").crop(FACE_AREA)
    tile = (width // columns, height // rows)
    canvas = face.resize((1, 1), Image.Resampling.BOX).resize((width, height))
    scaled = face.copy()
    scaled.thumbnail(tile, Image.Resampling.LANCZOS)
    for index in range(columns * rows):
        x, y = index % columns * tile[0], index // columns * tile[1]
        canvas.paste(scaled, (x + (tile[0] - scaled.width) // 2, y))
    return _jpeg(canvas)


def nothing_but_faces(side: int) -> bytes:
    """Return a PNG full of faces of the smallest size: the worst case for detection."""
    face = Image.open(PORTRAIT).convert("RGB").crop(FACE_AREA)
    tile = np.asarray(face.resize((SMALL_FACE_PX, SMALL_FACE_PX), Image.Resampling.LANCZOS))
    times = -(-side // SMALL_FACE_PX)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(tile, (times, times, 1))[:side, :side]).save(buffer, "PNG")
    return buffer.getvalue()


def resized(image: Image.Image, longer_side: int) -> Image.Image:
    """Return an image enlarged or reduced so that its longer side has this many pixels."""
    scale = longer_side / max(image.size)
    width, height = (max(round(side * scale), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
