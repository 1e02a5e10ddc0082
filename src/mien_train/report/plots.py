"""Inline SVG plots; the page's stylesheet sets the colors, in light and dark mode."""

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape

from mien_train.metrics import Metrics

__all__ = ["FEW_PREDICTIONS", "class_bars", "confidence_curve", "reliability_diagram"]

# Drawing units; the page scales plots to the available width.
WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 40
BAR_PX, GROUP_PX, LABEL_PX = 11, 36, 70
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Bins with fewer predictions are drawn pale.
FEW_PREDICTIONS = 20
THRESHOLDS = np.round(np.arange(0.0, 1.0, 0.02), 2)

Point = tuple[float, float]


def reliability_diagram(metrics: Metrics) -> Markup:
    """Return accuracy by confidence: a bar for each bin that is not empty, and the ideal line."""
    bins = metrics.reliability
    width = 1 / len(bins.counts)
    marks = []
    for index, count in enumerate(bins.counts):
        if count:
            tooltip = (
                f"{count} predictions, mean confidence {_percent(bins.confidence[index])}, "
                f"accuracy {_percent(bins.accuracy[index])}"
            )
            left, right = index * width, (index + 1) * width
            kind = "first few" if count < FEW_PREDICTIONS else "first"
            share = float(bins.accuracy[index])
            marks.append(_bar(left + 0.004, right - 0.004, share, kind, tooltip))
    marks.append(_line([(0, 0), (1, 1)], "ideal"))
    return _plot(marks, "confidence", "accuracy", "Reliability diagram")


def confidence_curve(metrics: Metrics) -> Markup:
    """Return share and accuracy of predictions by minimum confidence."""
    points = [(float(t), *metrics.above(float(t))) for t in THRESHOLDS]
    right = [(t, accuracy) for t, _, accuracy in points if np.isfinite(accuracy)]
    left = [(t, share) for t, share, _ in points]
    marks = [_line(right, "first"), _line(left, "second")]
    for t, share, accuracy in points[::5]:
        if np.isfinite(accuracy):
            tooltip = f"confidence {_percent(t)} and more: {_percent(share)} of the predictions"
            marks.append(_dot(t, accuracy, "first", f"{tooltip}, accuracy {_percent(accuracy)}"))
            marks.append(_dot(t, share, "second", tooltip))
    return _plot(marks, "minimum confidence", "share", "Accuracy by confidence")


def class_bars(metrics: Metrics) -> Markup:
    """Return recall with its interval and precision, two bars for each class."""
    height = GROUP_PX * len(metrics.labels) + 24
    span = WIDTH - LABEL_PX - 44
    parts = []
    for row, label in enumerate(metrics.labels):
        top = 4 + row * GROUP_PX
        low, high = metrics.recall_intervals[row]
        parts += [
            _text(LABEL_PX - 8, top + BAR_PX + 4, label, "end"),
            _row(top, span, metrics.recall[row], "first", f"{label}: recall"),
            _row(top + BAR_PX + 2, span, metrics.precision[row], "second", f"{label}: precision"),
            f'<line class="whisker" x1="{LABEL_PX + span * low:.1f}" '
            f'x2="{LABEL_PX + span * high:.1f}" y1="{top + BAR_PX / 2}" '
            f'y2="{top + BAR_PX / 2}"/>',
        ]
    return _svg(height, "Recall and precision of each class", parts)


def _row(top: float, span: float, share: float, kind: str, tooltip: str) -> str:
    # The value is right of the track, where it overlaps no bar or interval.
    return (
        f'<rect class="track" x="{LABEL_PX}" y="{top}" width="{span}" height="{BAR_PX}"/>'
        f'<rect class="bar {kind}" x="{LABEL_PX}" y="{top}" width="{span * share:.1f}" '
        f'height="{BAR_PX}"><title>{escape(tooltip)} {_percent(share)}</title></rect>'
        + _text(LABEL_PX + span + 6, top + BAR_PX - 1, f"{share:.2f}")
    )


def _plot(marks: Iterable[str], x_label: str, y_label: str, title: str) -> Markup:
    """Return marks in a square of 0 to 100 % both ways, with axes."""
    parts = []
    for tick in TICKS:
        parts += [
            _line([(tick, 0), (tick, 1)], "grid"),
            _line([(0, tick), (1, tick)], "grid"),
            _text(_x(tick), HEIGHT - BOTTOM + 16, f"{100 * tick:.0f}", "middle"),
            _text(LEFT - 6, _y(tick) + 4, f"{100 * tick:.0f}", "end"),
        ]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += [
        *marks,
        _text(_x(0.5), HEIGHT - 6, f"{x_label}, %", "middle"),
        f'<text x="11" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 11 {middle})">{escape(y_label)}, %</text>',
    ]
    return _svg(HEIGHT, title, parts)


def _svg(height: float, title: str, parts: Iterable[str]) -> Markup:
    drawing = "".join(parts)
    return Markup(  # noqa: S704 - all text in it is escaped
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{drawing}</svg>"
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _line(points: Sequence[Point], kind: str) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline class="line {kind}" points="{path}"/>'


def _bar(left: float, right: float, share: float, kind: str, tooltip: str) -> str:
    return (
        f'<rect class="bar {kind}" x="{_x(left):.1f}" y="{_y(share):.1f}" '
        f'width="{_x(right) - _x(left):.1f}" height="{_y(0) - _y(share):.1f}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def _dot(x: float, y: float, kind: str, tooltip: str) -> str:
    return (
        f'<circle class="dot {kind}" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4">'
        f"<title>{escape(tooltip)}</title></circle>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
