"""A copy of the photo with each face boxed and labelled."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from mien.render.drawing import COLOURS, DARK, Font, Rgb, font_of, ink_on, label_size
from mien.render.layout import LabelLayout, Rect
from mien.render.words import chance
from mien.types import FaceEmotion, RgbImage

__all__ = ["annotate"]

# A label may shrink to find room between faces, while it can still be read.
_SHRINK = (1.0, 0.85, 0.7)
_LEGIBLE_FONT = 11
# For a picture that is hardly larger than a label.
_LAST_RESORT_FONT = 8


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is drawn for one face. line, font: pixels that suit this face in this picture."""

    box: Rect
    text: str
    colour: Rgb
    line: int
    font: int

    @classmethod
    def of(cls, face: FaceEmotion, size_wh: tuple[int, int], name: str) -> "_Mark":
        x, y, width, height = face.box.to_pixels(*size_wh)
        picture, side = max(size_wh), min(width, height)
        # Between what can still be read with the whole picture on a screen and what shouts.
        smallest, largest = max(12.0, picture / 80), max(16.0, picture / 30)
        return cls(
            box=(x, y, x + width, y + height),
            text=f"{name}{face.emotion.value} {chance(face.confidence)}",
            colour=COLOURS[face.emotion],
            line=max(1, round(min(max(2.0, picture / 400), side / 10))),
            font=round(min(max(side / 5, smallest), largest)),
        )


def annotate(
    image: RgbImage, faces: Sequence[FaceEmotion], names: Sequence[str] = ()
) -> Image.Image:
    """Return an RGB copy of the picture with a box, the emotion and its confidence per face.

    Lines and letters scale with the picture and the face. A label goes where it covers the least
    of any face and of other labels, and stays inside the picture; one that can't fit is left out.
    names: put before the emotion, one for each face.
    """
    canvas = image.picture.copy()
    draw = ImageDraw.Draw(canvas)
    named = names or [""] * len(faces)
    marks = [
        _Mark.of(face, canvas.size, f"{name} " if name else "")
        for face, name in zip(faces, named, strict=True)
    ]
    layout = LabelLayout(canvas.size, [mark.box for mark in marks])
    for mark in marks:
        _draw_box(draw, mark)
    for mark in marks:
        _draw_label(draw, mark, layout)
    return canvas


def _draw_box(draw: ImageDraw.ImageDraw, mark: _Mark) -> None:
    left, top, right, bottom = mark.box
    rim = max(1, mark.line // 3)
    # A dark rim: the box shows on a background of its own colour too.
    outer = (left - rim, top - rim, right - 1 + rim, bottom - 1 + rim)
    draw.rectangle(outer, outline=DARK, width=mark.line + 2 * rim)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=mark.colour, width=mark.line)


def _draw_label(draw: ImageDraw.ImageDraw, mark: _Mark, layout: LabelLayout) -> None:
    for font_sizes in (_font_sizes(mark.font), [_LAST_RESORT_FONT]):
        fonts = [font_of(size) for size in font_sizes]
        sizes = [label_size(draw, mark.text, font) for font in fonts]
        place = layout.place(sizes, mark.box, gap=mark.line)
        if place is not None:
            font = fonts[sizes.index((place[2] - place[0], place[3] - place[1]))]
            _draw_plate(draw, mark, place, font)
            return


def _draw_plate(draw: ImageDraw.ImageDraw, mark: _Mark, place: Rect, font: Font) -> None:
    left, top, right, bottom = place
    ends = (_nearest(place, mark.box), _nearest(mark.box, place))
    if ends[0] != ends[1]:
        draw.line(ends, fill=mark.colour, width=mark.line)
    draw.rectangle((left, top, right - 1, bottom - 1), fill=mark.colour)
    draw.text(
        ((left + right) / 2, (top + bottom) / 2),
        mark.text,
        fill=ink_on(mark.colour),
        font=font,
        anchor="mm",
    )


def _font_sizes(preferred: int) -> list[int]:
    return sorted({max(_LEGIBLE_FONT, round(preferred * f)) for f in _SHRINK}, reverse=True)


def _nearest(here: Rect, there: Rect) -> tuple[float, float]:
    """Return the point of rectangle ``here`` that is nearest to the middle of what both span."""
    points = []
    for low, high in ((0, 2), (1, 3)):
        middle = (max(here[low], there[low]) + min(here[high], there[high])) / 2
        points.append(min(max(middle, here[low]), here[high]))
    return points[0], points[1]
