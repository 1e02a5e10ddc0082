"""A copy of an image with a labeled box around each face."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from mien.render.drawing import COLORS, DARK, Font, Rgb, font_of, ink_on, label_size
from mien.render.layout import LabelLayout, Rect
from mien.render.numbers import format_probability
from mien.types import FaceEmotion, RgbImage

__all__ = ["annotate"]

# A label may shrink to fit between faces, as long as it stays legible.
_FONT_FACTORS = (1.0, 0.85, 0.7)
_SMALLEST_LEGIBLE_FONT_PX = 11
# For an image that is hardly larger than a label.
_SMALLEST_FONT_PX = 8


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is drawn for one face.

    Attributes:
        box: In whole pixels of the image.
        text: Text of the label.
        color: Color of the box and of the label's background.
        line_px: Width of lines.
        font_px: Preferred font size.
    """

    box: Rect
    text: str
    color: Rgb
    line_px: int
    font_px: int

    @classmethod
    def from_face(cls, face: FaceEmotion, size_wh: tuple[int, int], name: str) -> "_Mark":
        x, y, width, height = face.box.to_pixels(*size_wh)
        image_side, face_side = max(size_wh), min(width, height)
        # Legible with the whole image on a screen, but not dominating it.
        smallest, largest = max(12.0, image_side / 80), max(16.0, image_side / 30)
        return cls(
            box=(x, y, x + width, y + height),
            text=f"{name}{face.emotion.value} {format_probability(face.confidence)}",
            color=COLORS[face.emotion],
            line_px=max(1, round(min(max(2.0, image_side / 400), face_side / 10))),
            font_px=round(min(max(face_side / 5, smallest), largest)),
        )


def annotate(
    image: RgbImage, faces: Sequence[FaceEmotion], names: Sequence[str] = ()
) -> Image.Image:
    """Draw a box, the emotion and its confidence for each face.

    Lines and text scale with the image and the face. Each label is placed inside the image where it
    covers the least of faces and other labels. A label that does not fit is left out.

    Args:
        image: The analyzed image.
        faces: Faces with boxes in pixels of the image.
        names: Text before the emotion, one for each face; empty for none.

    Returns:
        An RGB copy of the image.
    """
    canvas = image.picture.copy()
    draw = ImageDraw.Draw(canvas)
    prefixes = names or [""] * len(faces)
    marks = [
        _Mark.from_face(face, canvas.size, f"{prefix} " if prefix else "")
        for face, prefix in zip(faces, prefixes, strict=True)
    ]
    layout = LabelLayout(canvas.size, [mark.box for mark in marks])
    for mark in marks:
        _draw_box(draw, mark)
    for mark in marks:
        _draw_label(draw, mark, layout)
    return canvas


def _draw_box(draw: ImageDraw.ImageDraw, mark: _Mark) -> None:
    left, top, right, bottom = mark.box
    # A dark rim keeps the box visible on a background of its own color.
    rim = max(1, mark.line_px // 3)
    outer = (left - rim, top - rim, right - 1 + rim, bottom - 1 + rim)
    draw.rectangle(outer, outline=DARK, width=mark.line_px + 2 * rim)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=mark.color, width=mark.line_px)


def _draw_label(draw: ImageDraw.ImageDraw, mark: _Mark, layout: LabelLayout) -> None:
    for font_sizes in (_font_sizes(mark.font_px), [_SMALLEST_FONT_PX]):
        fonts = [font_of(size) for size in font_sizes]
        sizes = [label_size(mark.text, font) for font in fonts]
        label = layout.place(sizes, mark.box, gap=mark.line_px)
        if label is not None:
            font = fonts[sizes.index((label[2] - label[0], label[3] - label[1]))]
            _draw_text(draw, mark, label, font)
            return


def _draw_text(draw: ImageDraw.ImageDraw, mark: _Mark, label: Rect, font: Font) -> None:
    """Draw the label's background and text, and a line to a box that it does not touch."""
    left, top, right, bottom = label
    ends = (_nearest_point(label, mark.box), _nearest_point(mark.box, label))
    if ends[0] != ends[1]:
        draw.line(ends, fill=mark.color, width=mark.line_px)
    draw.rectangle((left, top, right - 1, bottom - 1), fill=mark.color)
    draw.text(
        ((left + right) / 2, (top + bottom) / 2),
        mark.text,
        fill=ink_on(mark.color),
        font=font,
        anchor="mm",
    )


def _font_sizes(preferred: int) -> list[int]:
    sizes = {max(_SMALLEST_LEGIBLE_FONT_PX, round(preferred * factor)) for factor in _FONT_FACTORS}
    return sorted(sizes, reverse=True)


def _nearest_point(rect: Rect, other: Rect) -> tuple[float, float]:
    """Return the point of ``rect`` closest to the middle of the overlap or gap with ``other``."""
    point = []
    for low, high in ((0, 2), (1, 3)):
        middle = (max(rect[low], other[low]) + min(rect[high], other[high])) / 2
        point.append(min(max(middle, rect[low]), rect[high]))
    return point[0], point[1]
