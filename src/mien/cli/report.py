"""``mien report``: an HTML page about a table of ``mien batch``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mien.batch.paths import path_to_text
from mien.batch.statistics import BINS, TableStatistics, statistics_of
from mien.batch.table import SUFFIXES, read_rows
from mien.cli.annotations import encoded, write_new
from mien.cli.console import printable, say
from mien.errors import ImageError, InvalidParameterError
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.render.report import report_page
from mien.render.sheet import contact_sheet, thumbnail
from mien.types import Emotion

__all__ = ["run"]

# Name, confidence and thumbnail of a face.
_ShownFace = tuple[str, float, Image.Image]


def run(arguments: Sequence[str]) -> int:
    """Write the page.

    Raises:
        InvalidParameterError: The table cannot be read, or a file to write exists already.
    """
    options = _parser().parse_args(arguments)
    # A folder may be given as "." or "..", which have no name.
    table: Path = options.table.resolve() if options.table.is_dir() else options.table
    out: Path = options.out or table.with_suffix(".html")
    for target in filter(None, (out, options.sheet)):
        if target.exists():
            raise InvalidParameterError(f"{target} exists: choose another name or delete it")
    statistics = statistics_of(read_rows(options.table), options.table)
    examples = _examples(statistics)
    page = report_page(
        printable(options.table.name),
        photos=statistics.photos,
        faceless=statistics.faceless,
        emotions=statistics.emotions,
        confidence=[statistics.confidence[step] for step in range(BINS)],
        examples=examples,
        failures={
            code: (count, [printable(line) for line in statistics.failures[code]])
            for code, count in statistics.errors.most_common()
        },
    )
    write_new(out, page.encode())
    say(f"wrote {out}")
    if options.sheet:
        sheet = contact_sheet(
            {emotion: [thumb for _, _, thumb in shown] for emotion, shown in examples.items()}
        )
        write_new(options.sheet, encoded(sheet, options.sheet.suffix))
        say(f"wrote {options.sheet}")
    return 0


def _examples(statistics: TableStatistics) -> dict[Emotion, list[_ShownFace]]:
    """Return the example faces whose photos can still be read."""
    shown: dict[Emotion, list[_ShownFace]] = {}
    for emotion, _ in statistics.emotions.most_common():
        for example in sorted(statistics.examples[emotion], reverse=True):
            try:
                image = load_image(example.path, max_pixels=MAX_PIXELS)
            except ImageError:
                continue
            name = printable(path_to_text(Path(example.path).name))
            face = (name, example.confidence, thumbnail(image, example.box))
            shown.setdefault(emotion, []).append(face)
    return shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien report",
        description="Make an HTML page about a table of mien batch: faces by emotion and by "
        "confidence, examples, and failures. The page is a single file.",
    )
    parser.add_argument(
        "table", type=Path, metavar="TABLE", help=f"{', '.join(SUFFIXES)}, or a folder of .parquet"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page; default: the name of TABLE with .html"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write the examples as an image too: .jpg, .png"
    )
    return parser
