"""``mien report``: an HTML page about a table of ``mien batch``."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from mien.batch.paths import path_to_text
from mien.batch.statistics import BINS, TableStatistics, statistics_of
from mien.batch.table import SUFFIXES, read_rows
from mien.cli.console import printable, say
from mien.cli.parser import Parser, new_file
from mien.errors import ImageError, InvalidParameterError
from mien.files import write_new
from mien.image import load_image
from mien.image.encode import ENCODED_FORMATS, encoded
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
    if out.exists():
        raise InvalidParameterError(f"{out} exists; choose another name or delete it")
    statistics = statistics_of(read_rows(options.table), options.table)
    examples = _load_examples(statistics)
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
    if statistics.emotions and not examples:
        say("no example could be read: run mien report in the folder where mien batch ran")
    if options.sheet:
        sheet = contact_sheet(
            {emotion: [thumb for _, _, thumb in shown] for emotion, shown in examples.items()}
        )
        write_new(options.sheet, encoded(sheet, options.sheet.suffix))
        say(f"wrote {options.sheet}")
    return 0


def _load_examples(statistics: TableStatistics) -> dict[Emotion, list[_ShownFace]]:
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


def _parser() -> Parser:
    parser = Parser(
        prog="mien report",
        description="Make an HTML page about a table of mien batch: faces by emotion and by "
        "confidence, examples, and failures. The page is a single file.",
        epilog="Exit status: 0 success, 1 an output cannot be written, 2 wrong usage or an "
        "unreadable TABLE.",
    )
    parser.add_argument(
        "table",
        type=Path,
        metavar="TABLE",
        help=f"{', '.join(SUFFIXES)} file, or a folder of .parquet files",
    )
    parser.add_argument(
        "--out",
        type=partial(new_file, suffixes=(".html",)),
        metavar="FILE",
        help="the page, .html; default: the name of TABLE with .html",
    )
    parser.add_argument(
        "--sheet",
        type=partial(new_file, suffixes=ENCODED_FORMATS),
        metavar="FILE",
        help=f"also write the examples as one image: {', '.join(ENCODED_FORMATS)}",
    )
    return parser
