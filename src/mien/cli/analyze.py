"""``mien analyze``: photos in, results out as they come."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mien.classify.labels import LabelSet
from mien.cli.annotations import AnnotationFolder
from mien.cli.formats import FORMATS, Photo
from mien.cli.photos import Outcome, PhotoReader, Task, add_look_options, look_of
from mien.cli.words import say
from mien.recognizer import in_order

__all__ = ["run"]

_STDIN = "-"


def run(arguments: Sequence[str]) -> int:
    """Print a result per photo, in order; 1 if some failed.

    Raises ArtifactError or InvalidParameterError before the first photo is read.
    """
    options = _parser().parse_args(arguments)
    folder = AnnotationFolder(options.annotate) if options.annotate else None
    recognizer = look_of(options).recognizer()
    failures: list[str] = []
    tasks = _tasks(options.photos, folder)
    with closing(in_order(PhotoReader(recognizer), tasks, threads=recognizer.threads)) as outcomes:
        photos = _complaining(outcomes, failures)
        FORMATS[options.format](photos, LabelSet(options.labels), options.include)
    return 1 if failures else 0


def _tasks(paths: Sequence[str], folder: AnnotationFolder | None) -> Iterator[Task]:
    for path in paths:
        # Read here and not by a worker, which could not be interrupted while it waits.
        picture = sys.stdin.buffer.read() if path == _STDIN else Path(path)
        target = folder.reserve(path) if folder else None
        if target is not None and target.stem != Path(path).stem:
            say(f"{path}: its copy is named {target}")
        yield Task(path, picture, target)


def _complaining(outcomes: Iterator[Outcome], failures: list[str]) -> Iterator[Photo]:
    for outcome in outcomes:
        if outcome.complaint is not None:
            failures.append(outcome.path)
            say(f"{outcome.path}: {outcome.complaint}")
        yield outcome.path, outcome.result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien analyze",
        description="Reads the emotions of the faces in photos, largest face first.",
        epilog="Exit status: 0 done, 1 some photos failed, 2 wrong usage.",
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="JPEG, PNG or WebP file; - reads stdin"
    )
    shape = parser.add_mutually_exclusive_group()
    for name, what in (
        ("json", "a list with one object per photo"),
        ("jsonl", "one object per photo and line"),
        ("csv", "one row per face"),
    ):
        shape.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, default="text", help=what
        )
    parser.add_argument(
        "--annotate", type=Path, metavar="DIR", help="put labelled copies here; overwrites nothing"
    )
    add_look_options(parser)
    return parser
