"""``mien report``: one page about a table that ``mien batch`` wrote."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mien.batch.digest import BINS, Digest, digest_of
from mien.batch.table import read_rows
from mien.cli.annotations import encoded, write_new
from mien.cli.console import printable, say
from mien.errors import ImageError, InvalidParameterError
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.render.report import report_page
from mien.render.sheet import contact_sheet, thumbnail
from mien.types import Emotion

__all__ = ["run"]

# Name, confidence and picture of a face.
_Shown = tuple[str, float, Image.Image]


def run(arguments: Sequence[str]) -> int:
    """Write the page. Raises InvalidParameterError if the table or the page's place is no good."""
    options = _parser().parse_args(arguments)
    out: Path = options.out or options.table.with_suffix(".html")
    for place in filter(None, (out, options.sheet)):
        if place.exists():
            raise InvalidParameterError(f"{place} exists; choose another name or delete it")
    digest = digest_of(read_rows(options.table), options.table)
    examples = _examples(digest, MAX_PIXELS)
    page = report_page(
        printable(options.table.name),
        figures={
            "photos": digest.photos,
            "faces": digest.faces,
            "photos without a face": digest.faceless,
            "photos that failed": digest.errors.total(),
        },
        emotions=digest.emotions,
        confidence=[digest.confidence[step] for step in range(BINS)],
        examples=examples,
        failures={
            code: (count, [printable(line) for line in digest.failures[code]])
            for code, count in digest.errors.most_common()
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


def _examples(digest: Digest, max_pixels: int) -> dict[Emotion, list[_Shown]]:
    """Return the faces that can be shown: photos that are gone by now are passed over."""
    shown: dict[Emotion, list[_Shown]] = {}
    for emotion, _ in digest.emotions.most_common():
        for example in sorted(digest.examples[emotion], reverse=True):
            try:
                image = load_image(example.path, max_pixels=max_pixels)
            except ImageError:
                continue
            name = printable(Path(example.path).name)
            face = (name, example.confidence, thumbnail(image, example.box))
            shown.setdefault(emotion, []).append(face)
    return shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien report",
        description="Writes one page about a table that mien batch wrote: how many faces show "
        "what, how confident, examples, and what failed. It needs no other file.",
    )
    parser.add_argument(
        "table", type=Path, metavar="TABLE", help=".parquet, .csv, .jsonl or a folder"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: TABLE's name with .html")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="the examples as one picture too: .jpg or .png"
    )
    return parser
