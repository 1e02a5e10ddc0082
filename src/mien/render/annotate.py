"""A copy of the photo with each face boxed and labelled."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.types import Emotion, FaceEmotion, ImageResult, RgbImage

__all__ = ["annotate"]

_Rgb = tuple[int, int, int]
# Left, top, width and height of a face's box; of anything else the corners, right and bottom
# exclusive. Whole pixels.
_Rect = tuple[int, int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_DARK: _Rgb = (0, 0, 0)
_LIGHT: _Rgb = (255, 255, 255)

# Told apart with any kind of colour blindness. Source: Okabe and Ito 2008, Color Universal Design;
# grey in place of its black, which would vanish on hair.
_COLOURS: dict[Emotion, _Rgb] = {
    Emotion.HAPPY: (240, 228, 66),
    Emotion.SAD: (0, 114, 178),
    Emotion.ANGRY: (213, 94, 0),
    Emotion.FEAR: (204, 121, 167),
    Emotion.SURPRISE: (230, 159, 0),
    Emotion.NEUTRAL: (200, 200, 200),
    Emotion.DISGUST: (0, 158, 115),
    Emotion.CONTEMPT: (86, 180, 233),
}

# Text on text can't be read at all; a label on a face hides what it speaks of.
_OVER_LABEL, _OVER_FACE = 4.0, 2.0
# Small next to any real overlap: only decides between places that are equally free.
_PER_RANK = 0.005

_SMALLEST_FONT = 8
# Tried one after the other while a label covers something: a smaller one may fit in between.
_SHRINK = (1.0, 0.85, 0.7)


@dataclass(frozen=True, slots=True)
class _Style:
    """Sizes in pixels that suit one face in one picture."""

    line: int
    font: int

    @classmethod
    def of(cls, box_xywh: _Rect, size_wh: tuple[int, int]) -> "_Style":
        face, picture = min(box_xywh[2:]), max(size_wh)
        # Between what can still be read with the whole picture on a screen and what shouts.
        smallest, largest = max(12.0, picture / 80), max(16.0, picture / 30)
        return cls(
            line=max(1, round(min(max(2.0, picture / 400), face / 10))),
            font=round(min(max(face / 5, smallest), largest)),
        )


@dataclass(frozen=True, slots=True)
class _Plate:
    """A label's text and the size of the filled rectangle behind it, in pixels."""

    text: str
    font: _Font
    padding: int
    width: int
    height: int


def annotate(image: RgbImage, result: ImageResult) -> Image.Image:
    """Return an RGB copy of the picture with a box, the emotion and its confidence per face.

    Lines and letters scale with the picture and the face. A label goes where it covers the least
    of any face and of other labels, and stays inside the picture; one that can't fit is left out.
    """
    canvas = Image.fromarray(image.pixels)
    draw = ImageDraw.Draw(canvas)
    boxes = [face.box.to_pixels(*canvas.size) for face in result.faces]
    styles = [_Style.of(box, canvas.size) for box in boxes]
    for face, box, style in zip(result.faces, boxes, styles, strict=True):
        _draw_box(draw, box, style.line, _COLOURS[face.emotion])
    taken = [_corners(box) for box in boxes]
    for face, box, style in zip(result.faces, boxes, styles, strict=True):
        plate = _plate(draw, face, style.font, canvas.size)
        if plate is not None:
            place = _place(plate, box, style.line, canvas.size, taken=taken, faces=len(boxes))
            _draw_leader(draw, place, _corners(box), style.line, _COLOURS[face.emotion])
            _draw_plate(draw, plate, place, _COLOURS[face.emotion])
            taken.append(place)
    return canvas


def _draw_box(draw: ImageDraw.ImageDraw, box_xywh: _Rect, line: int, colour: _Rgb) -> None:
    left, top, right, bottom = _corners(box_xywh)
    rim = max(1, line // 3)
    # A dark rim: the box shows on a background of its own colour too.
    outer = (left - rim, top - rim, right - 1 + rim, bottom - 1 + rim)
    draw.rectangle(outer, outline=_DARK, width=line + 2 * rim)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=line)


def _draw_leader(
    draw: ImageDraw.ImageDraw, place: _Rect, face: _Rect, line: int, colour: _Rgb
) -> None:
    """Join a label to its face where they don't touch."""
    ends = (_nearest(place, face), _nearest(face, place))
    if ends[0] != ends[1]:
        draw.line(ends, fill=colour, width=line)


def _draw_plate(
    draw: ImageDraw.ImageDraw,
    plate: _Plate,
    place: _Rect,
    colour: _Rgb,
) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)
    draw.text(
        (left + plate.padding, (top + bottom) / 2),
        plate.text,
        fill=_ink(colour),
        font=plate.font,
        anchor="lm",
    )


def _plate(
    draw: ImageDraw.ImageDraw, face: FaceEmotion, font_size: int, size_wh: tuple[int, int]
) -> _Plate | None:
    """Return the label in the wanted font size or, in a small picture, the largest that fits."""
    text = f"{face.emotion.value} {round(100 * face.confidence)} %"
    for size in range(max(font_size, _SMALLEST_FONT), _SMALLEST_FONT - 1, -1):
        font = _font(size)
        padding = max(2, size // 4)
        width = round(draw.textlength(text, font=font)) + 2 * padding
        height = round(size * 1.2) + padding
        if width <= size_wh[0] and height <= size_wh[1]:
            return _Plate(text, font, padding, width, height)
    return None


@functools.lru_cache(maxsize=64)
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _place(
    plate: _Plate,
    box_xywh: _Rect,
    line: int,
    size_wh: tuple[int, int],
    *,
    taken: list[_Rect],
    faces: int,
) -> _Rect:
    """Return the label's corners; the first ``faces`` of ``taken`` are faces, the rest labels."""
    spots = np.array(list(_spots(plate, box_xywh, line)))
    spots = np.clip(spots, 0, [size_wh[0] - plate.width, size_wh[1] - plate.height])
    corners = np.hstack([spots, np.add(spots, [plate.width, plate.height])])
    weights = np.full(len(taken), _OVER_LABEL)
    weights[:faces] = _OVER_FACE
    cost = _overlaps(corners, np.array(taken)) @ weights / (plate.width * plate.height)
    cost += _PER_RANK * np.arange(len(spots))
    left, top, right, bottom = corners[int(cost.argmin())].tolist()
    return left, top, right, bottom


def _spots(plate: _Plate, box_xywh: _Rect, line: int) -> Iterable[tuple[int, int]]:
    """Yield top-left corners around the box, the preferred first, then further away."""
    x, y, width, height = box_xywh
    columns = (x, x + (width - plate.width) // 2, x + width - plate.width)
    rows = (y, y + (height - plate.height) // 2, y + height - plate.height)
    for away in (0, plate.height // 2 + line, plate.height + 2 * line, 2 * plate.height + 3 * line):
        for left in columns:
            yield left, y - plate.height - away
        for left in columns:
            yield left, y + height + away
        for top in rows:
            yield x + width + away, top
        for top in rows:
            yield x - plate.width - away, top


def _overlaps(some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (N, M) shared areas of N and M rectangles, each given by its corners."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    area: NDArray[np.int64] = np.prod(np.maximum(high - low, 0), axis=2)
    return area


def _nearest(here: _Rect, there: _Rect) -> tuple[float, float]:
    """Return the point of rectangle ``here`` that is nearest to the middle of what both span."""
    points = []
    for low, high in ((0, 2), (1, 3)):
        middle = (max(here[low], there[low]) + min(here[high], there[high])) / 2
        points.append(min(max(middle, here[low]), here[high]))
    return points[0], points[1]


def _corners(box_xywh: _Rect) -> _Rect:
    x, y, width, height = box_xywh
    return x, y, x + width, y + height


def _ink(colour: _Rgb) -> _Rgb:
    """Return black or white, whichever stands out more. Source: WCAG 2.2, relative luminance."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _DARK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else _LIGHT
