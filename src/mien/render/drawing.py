"""What all drawn images share: colors of emotions, fonts and legible labels."""

import functools

from PIL import ImageFont

from mien.types import Emotion

__all__ = ["COLORS", "DARK", "LIGHT", "Font", "Rgb", "font_of", "ink_on", "label_size"]

Rgb = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

DARK: Rgb = (0, 0, 0)
LIGHT: Rgb = (255, 255, 255)

# Distinguishable with any kind of color blindness. Source: Okabe and Ito 2008, Color Universal
# Design; grey replaces its black, which would not be visible on hair.
COLORS: dict[Emotion, Rgb] = {
    Emotion.HAPPY: (240, 228, 66),
    Emotion.SAD: (0, 114, 178),
    Emotion.ANGRY: (213, 94, 0),
    Emotion.FEAR: (204, 121, 167),
    Emotion.SURPRISE: (230, 159, 0),
    Emotion.NEUTRAL: (200, 200, 200),
    Emotion.DISGUST: (0, 158, 115),
    Emotion.CONTEMPT: (86, 180, 233),
}


@functools.lru_cache(maxsize=64)
def font_of(size: int) -> Font:
    """Return Pillow's default font at a size in pixels."""
    return ImageFont.load_default(size)


def label_size(text: str, font: Font) -> tuple[int, int]:
    """Return width and height in pixels of a label: the text with its padding."""
    _, top, _, bottom = font.getbbox("Ag", anchor="lt")
    padding = max(2, round((bottom - top) / 3))
    return round(font.getlength(text)) + 2 * padding, round(bottom - top) + 2 * padding


def ink_on(color: Rgb) -> Rgb:
    """Return black or white, whichever has more contrast to a background color.

    Source: WCAG 2.2, relative luminance and contrast ratio.
    """
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return DARK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else LIGHT
