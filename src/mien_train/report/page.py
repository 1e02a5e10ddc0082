"""Report of an evaluation as one self-contained HTML page."""

from datetime import date
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mien.artifacts import Card
from mien_train.evaluate import Scores
from mien_train.report import plots
from mien_train.report.text import titled

__all__ = ["PAGE", "write_page"]

PAGE = "index.html"


def write_page(scores: Scores, card: Card, folder: Path, *, on: date) -> Path:
    """Write the page of a model's evaluation into ``folder``; return its path.

    on: date of the measurement.
    """
    environment = Environment(
        loader=PackageLoader("mien_train"), autoescape=True, undefined=StrictUndefined
    )
    text = environment.get_template("page.html.jinja").render(
        scores=scores, sections=titled(scores), card=card, on=on.isoformat(), plots=plots
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE
    path.write_text(text, encoding="utf-8")
    return path
