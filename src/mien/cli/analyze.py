"""``mien analyze``: photos in, results out as they come."""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mien.batch.paths import path_to_text
from mien.batch.storage import is_uri, is_web_address
from mien.classify.labels import LabelSet
from mien.cli.annotations import AnnotationFolder
from mien.cli.console import say
from mien.cli.formats import FORMATS
from mien.cli.options import add_analysis_options, recognizer_arguments
from mien.cli.photos import AnalyzedPhoto, analyze_photo
from mien.detect.levels import SEARCHED_PIXELS, LevelsDetector
from mien.errors import UnreadableFileError
from mien.in_order import in_order
from mien.recognizer import Recognizer, failed
from mien.render.numbers import format_count
from mien.results import ImageResult

__all__ = ["run"]

_STDIN = "-"


def run(arguments: Sequence[str]) -> int:
    """Print a result per photo, in order; 1 if some failed.

    Raises ArtifactError or InvalidParameterError before the first photo is read.
    """
    options = _parser().parse_args(arguments)
    folder = AnnotationFolder(options.annotate) if options.annotate else None
    recognizer = Recognizer(**recognizer_arguments(options))

    def analyze(photo: tuple[str, Path | bytes, Path | None]) -> AnalyzedPhoto:
        path = photo[0]
        if unusable := _why_not_a_photo(path):
            return AnalyzedPhoto(failed(path_to_text(path), unusable), unusable.message)
        return analyze_photo(recognizer, *photo, save=AnnotationFolder.save)

    failures: list[str] = []
    faceless: list[ImageResult] = []
    photos = _photos(options.photos, folder)
    with closing(in_order(analyze, photos, threads=recognizer.threads)) as outcomes:
        results = _reported(outcomes, failures, faceless)
        FORMATS[options.format](results, LabelSet(options.labels), options.include)
    reduces = isinstance(recognizer.detector, LevelsDetector)
    if faceless and reduces and options.min_face_size is None:
        say(
            f"no face in {format_count(len(faceless), 'large photo')}, searched at a lower "
            "resolution: --min-face-size 20 finds smaller faces"
        )
    return 1 if failures else 0


def _photos(
    paths: Sequence[str], folder: AnnotationFolder | None
) -> Iterator[tuple[str, Path | bytes, Path | None]]:
    """Yield each photo's path, its source and where its annotated copy goes."""
    for path in paths:
        # Read in the main thread, which Ctrl-C can interrupt.
        source = sys.stdin.buffer.read() if path == _STDIN else Path(path)
        target = folder.reserve(path) if folder else None
        if target is not None and target.stem != Path(path).stem:
            say(f"{path}: its copy is named {target}")
        yield path, source, target


def _why_not_a_photo(path: str) -> UnreadableFileError | None:
    """Return the error for arguments that users take for photos."""
    if not path:
        return UnreadableFileError("the path is empty")
    if is_web_address(path):
        return UnreadableFileError("photos are not downloaded from web addresses")
    if is_uri(path):
        return UnreadableFileError("give the path of a file; mien batch reads object stores")
    if path != _STDIN and Path(path).is_dir():
        command = shlex.join(["mien", "batch", path, "--out", "results.csv"])
        return UnreadableFileError(f"this is a folder; analyze its photos with: {command}")
    return None


def _reported(
    outcomes: Iterator[AnalyzedPhoto], failures: list[str], faceless: list[ImageResult]
) -> Iterator[ImageResult]:
    """Pass the results on, report failures on stderr, and collect large photos without a face."""
    for outcome in outcomes:
        result = outcome.result
        if not result.faces and result.width * result.height > SEARCHED_PIXELS:
            faceless.append(result)
        if outcome.complaint is not None:
            failures.append(outcome.complaint)
            say(f"{outcome.result.path}: {outcome.complaint}")
        yield outcome.result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien analyze",
        description="Reads the emotions of the faces in photos, largest face first.",
        epilog="Exit status: 0 success, 1 some photos failed, 2 wrong usage.",
    )
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC file; - reads stdin",
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
        "--annotate", type=Path, metavar="DIR", help="put labeled copies here; overwrites nothing"
    )
    add_analysis_options(parser)
    return parser
