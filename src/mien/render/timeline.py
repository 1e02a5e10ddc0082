"""A timeline of emotions: a row for each person, time from left to right."""

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from mien.render.drawing import COLORS, DARK, LIGHT, Rgb, font_of, ink_on
from mien.types import Emotion

__all__ = ["draw_timeline"]

# Emotion, begin and end in seconds.
Bar = tuple[Emotion, float, float]

_WIDTH = 1200
_ROW, _BAR, _MARGIN = 44, 30, 20
_FONT, _SMALL = 17, 14
_GREY: Rgb = (120, 120, 120)
_FAINT: Rgb = (225, 225, 225)
_TICKS = 10


def draw_timeline(persons: Mapping[str, Sequence[Bar]], seconds: float) -> Image.Image:
    """Draw the timeline.

    Args:
        persons: Name of each row, with its bars.
        seconds: Duration of the time axis.
    """
    emotions = [e for e in Emotion if any(e == bar[0] for bars in persons.values() for bar in bars)]
    names_width = max(map(font_of(_FONT).getlength, persons), default=0)
    left = _MARGIN + 12 + round(names_width)
    top = _MARGIN + _ROW
    bottom = top + max(1, len(persons)) * _ROW
    canvas = Image.new("RGB", (_WIDTH, bottom + 2 * _MARGIN + _SMALL), LIGHT)
    draw = ImageDraw.Draw(canvas)
    _legend(draw, emotions)
    scale = (_WIDTH - left - _MARGIN) / max(seconds, 1e-9)
    _ticks(draw, seconds, (left, top, bottom), scale)
    for row, (name, bars) in enumerate(persons.items()):
        middle = top + row * _ROW + _ROW // 2
        draw.text((_MARGIN, middle), name, fill=DARK, font=font_of(_FONT), anchor="lm")
        for emotion, begin_s, end_s in bars:
            x = (left + begin_s * scale, left + end_s * scale)
            # At least one pixel wide, however short.
            right = max(round(x[1]) - 1, round(x[0]))
            ends = (round(x[0]), middle - _BAR // 2, right, middle + _BAR // 2)
            draw.rectangle(ends, fill=COLORS[emotion])
    return canvas


def _legend(draw: ImageDraw.ImageDraw, emotions: Sequence[Emotion]) -> None:
    x = float(_MARGIN)
    for emotion in emotions:
        width = draw.textlength(emotion.value, font=font_of(_SMALL)) + 16
        draw.rectangle((x, _MARGIN, x + width, _MARGIN + 24), fill=COLORS[emotion])
        place = (x + width / 2, _MARGIN + 12)
        ink = ink_on(COLORS[emotion])
        draw.text(place, emotion.value, fill=ink, font=font_of(_SMALL), anchor="mm")
        x += width + 8


def _ticks(
    draw: ImageDraw.ImageDraw, seconds: float, at: tuple[int, int, int], scale: float
) -> None:
    left, top, bottom = at
    step = _round_step(seconds / _TICKS)
    for tick in range(math.floor(seconds / step + 1e-6) + 1):
        x = left + tick * step * scale
        draw.line((x, top, x, bottom), fill=_FAINT)
        place = (min(x, _WIDTH - _MARGIN), bottom + 6)
        draw.text(place, _clock(tick * step), fill=_GREY, font=font_of(_SMALL), anchor="ma")


def _round_step(least: float) -> float:
    """Return the smallest round number of seconds that is at least ``least``."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    return next((step for step in steps if step >= least), math.ceil(least / 3600) * 3600)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
