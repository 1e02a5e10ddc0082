"""An HTML page about a table of results: a single file that needs no network."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO

from PIL import Image

from mien.render.drawing import COLORS
from mien.render.numbers import format_count, format_percent, format_probability
from mien.types import Emotion

__all__ = ["report_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; } h2 { margin-top: 2.5rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.figures li { background: var(--soft); border-radius: 12px; padding: .6rem 1.2rem; }
.figures strong { display: block; font-size: 1.8rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bar { width: 60%; } .bar div { height: 1rem; border-radius: 4px; min-width: 2px; }
.columns { display: flex; align-items: flex-end; gap: 4px; height: 12rem; }
.columns div { flex: 1; background: #4b3fd6; border-radius: 4px 4px 0 0; min-height: 1px; }
.ticks { display: flex; justify-content: space-between; border-top: 1px solid var(--line); }
.thumbs { display: flex; flex-wrap: wrap; gap: 6px; }
.thumbs figure { margin: 0; font-size: .75rem; text-align: center; }
.thumbs img { display: block; border-radius: 8px; }
code { background: var(--soft); border-radius: 4px; padding: .1em .3em; }
li { overflow-wrap: anywhere; }
"""


def report_page(
    title: str,
    *,
    photos: int,
    faceless: int,
    emotions: Mapping[Emotion, int],
    confidence: Sequence[int],
    examples: Mapping[Emotion, Sequence[tuple[str, float, Image.Image]]],
    failures: Mapping[str, tuple[int, Sequence[str]]],
) -> str:
    """Return the page.

    Args:
        title: Its heading.
        photos: Number of photos.
        faceless: Photos without a face.
        emotions: Faces by emotion.
        confidence: Faces in equal bins of confidence.
        examples: Name, confidence and thumbnail of faces of each emotion.
        failures: For each error code, how many photos failed with it, and a line for some of them.
    """
    failed = sum(count for count, _ in failures.values())
    totals = (
        _total(photos, "photo"),
        _total(sum(emotions.values()), "face"),
        _total(faceless, "photo", " without a face"),
        _total(failed, "photo", " that failed"),
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<ul class="figures">{"".join(totals)}</ul>
<h2>Faces by emotion</h2>{_emotions(emotions)}
<h2>Confidence</h2>{_histogram(confidence)}
<h2>Faces with the highest confidence, of the largest in each photo</h2>{_examples(examples)}
<h2>Photos that failed</h2>{_failures(failures)}
<p>An expression is what a face shows, not what a person feels.</p>
</body></html>
"""


def _total(count: int, noun: str, more: str = "") -> str:
    number, name = format_count(count, noun).split(" ", 1)
    return f"<li><strong>{number}</strong>{name}{more}</li>"


def _emotions(emotions: Mapping[Emotion, int]) -> str:
    total = max(sum(emotions.values()), 1)
    most = max([1, *emotions.values()])
    rows = [
        f"<tr><th>{emotion.value}</th><td class=number>{count:,}</td>"
        f"<td class=number>{escape(format_percent(count / total, 1))}</td><td class=bar>"
        f'<div style="width:{100 * count / most:.1f}%;background:{_css(emotion)}"></div></td></tr>'
        for emotion, count in sorted(emotions.items(), key=lambda item: -item[1])
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>No face was found.</p>"


def _histogram(confidence: Sequence[int]) -> str:
    most = max([1, *confidence])
    steps = len(confidence)
    columns = "".join(
        f'<div style="height:{100 * count / most:.1f}%" '
        f'title="{100 * i // steps} to {100 * (i + 1) // steps} %: '
        f'{format_count(count, "face")}"></div>'
        for i, count in enumerate(confidence)
    )
    words = f"Faces by confidence in {steps} equal steps: " + ", ".join(map(str, confidence))
    return (
        f'<div class=columns role="img" aria-label="{words}">{columns}</div>'
        "<div class=ticks><span>0 %</span><span>confidence</span><span>100 %</span></div>"
    )


def _examples(examples: Mapping[Emotion, Sequence[tuple[str, float, Image.Image]]]) -> str:
    parts = [
        f"<h3>{emotion.value}</h3><div class=thumbs>"
        + "".join(_thumb(emotion, *face) for face in faces)
        + "</div>"
        for emotion, faces in examples.items()
        if faces
    ]
    return "".join(parts) or "<p>None: no face was found, or its photo cannot be read any more.</p>"


def _thumb(emotion: Emotion, name: str, confidence: float, thumb: Image.Image) -> str:
    file = BytesIO()
    thumb.save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{thumb.width}" '
        f'height="{thumb.height}" alt="{emotion.value}" title="{escape(name)}">'
        f"{escape(format_probability(confidence))}</figure>"
    )


def _failures(failures: Mapping[str, tuple[int, Sequence[str]]]) -> str:
    if not failures:
        return "<p>None.</p>"
    parts = [
        f"<h3><code>{escape(code)}</code>: {count:,}</h3><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in lines)
        + ("<li>…</li>" if count > len(lines) else "")
        + "</ul>"
        for code, (count, lines) in failures.items()
    ]
    return "".join(parts)


def _css(emotion: Emotion) -> str:
    red, green, blue = COLORS[emotion]
    return f"rgb({red},{green},{blue})"
