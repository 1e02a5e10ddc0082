"""A contact sheet: thumbnails of faces, grouped by emotion."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from mien.render.drawing import COLORS, LIGHT, font_of, ink_on, label_size
from mien.types import Box, Emotion, RgbImage

__all__ = ["THUMB_PX", "contact_sheet", "thumbnail"]

THUMB_PX = 96
_COLUMNS = 8
_GAP_PX = 6
_FONT_PX = 16
# Margin on each side of a face, as a share of its size.
_MARGIN = 0.25


def thumbnail(image: RgbImage, box: Box) -> Image.Image:
    """Return a square of ``THUMB_PX`` pixels with the face and a margin."""
    side = max(box.width, box.height) * (1 + 2 * _MARGIN)
    left, top = (box.left + box.right - side) / 2, (box.top + box.bottom - side) / 2
    crop = image.picture.crop((round(left), round(top), round(left + side), round(top + side)))
    return crop.resize((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)


def contact_sheet(faces: Mapping[Emotion, Sequence[Image.Image]]) -> Image.Image:
    """Return an image of all thumbnails, with a title above those of each emotion."""
    bands = {emotion: list(thumbs) for emotion, thumbs in faces.items() if thumbs}
    step = THUMB_PX + _GAP_PX
    widest = max((len(thumbs) for thumbs in bands.values()), default=1)
    columns = min(widest, _COLUMNS)
    font = font_of(_FONT_PX)
    _, title_px = label_size("", font)
    rows = {emotion: -(-len(thumbs) // columns) for emotion, thumbs in bands.items()}
    height = sum(title_px + _GAP_PX + count * step for count in rows.values()) + _GAP_PX
    width = max(columns * step + _GAP_PX, 200)
    canvas = Image.new("RGB", (width, height), LIGHT)
    draw = ImageDraw.Draw(canvas)
    top = _GAP_PX
    for emotion, thumbs in bands.items():
        color = COLORS[emotion]
        draw.rectangle((0, top, width, top + title_px - 1), fill=color)
        middle = (_GAP_PX + 4, top + title_px / 2)
        draw.text(middle, emotion.value, fill=ink_on(color), font=font, anchor="lm")
        top += title_px + _GAP_PX
        for index, thumb in enumerate(thumbs):
            row, column = divmod(index, columns)
            canvas.paste(thumb, (_GAP_PX + column * step, top + row * step))
        top += rows[emotion] * step
    return canvas
