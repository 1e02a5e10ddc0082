"""``mien analyze``: analyze photos and print each result as soon as it is ready."""

import glob
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mien.batch.paths import path_to_text
from mien.batch.storage import is_uri, is_web_address
from mien.batch.task import analyze_photo
from mien.classify.labels import LabelSet
from mien.cli.console import say
from mien.cli.formats import PRINTERS, print_text
from mien.cli.options import add_analysis_options, recognizer_arguments
from mien.cli.parser import Parser
from mien.detect import MIN_FACE_SIZE_PX
from mien.detect.levels import SEARCHED_PIXELS
from mien.errors import InvalidParameterError, NotAnImageError, UnreadableFileError
from mien.files import write_new
from mien.image.encode import ENCODED_FORMATS
from mien.in_order import in_order
from mien.recognizer import Recognizer, failed
from mien.render.numbers import format_count
from mien.results import ImageResult

__all__ = ["AnnotationFolder", "run"]

_STDIN = "-"
# As ``analyze_photo`` returns it.
_Outcome = tuple[ImageResult, str | None]


def run(arguments: Sequence[str]) -> int:
    """Print a result per photo, in order; 1 if some failed.

    Raises ArtifactError or InvalidParameterError before the first photo is read.
    """
    options = _parser().parse_args(arguments)
    folder = AnnotationFolder(options.annotate) if options.annotate else None
    recognizer = Recognizer(**recognizer_arguments(options))

    def analyze(photo: tuple[str, Path | bytes, Path | None]) -> _Outcome:
        path = photo[0]
        if unusable := _why_not_a_photo(path):
            return failed(path_to_text(path), unusable), unusable.message
        return analyze_photo(recognizer, *photo, write=write_new)

    counts: Counter[str] = Counter()
    photos = _photos(options.photos, folder)
    with closing(in_order(analyze, photos, threads=recognizer.threads)) as outcomes:
        results = _reported(outcomes, counts)
        options.printer(results, LabelSet(options.labels), options.include)
    if counts["faceless"] and recognizer.options.min_face_size is None:
        say(
            f"no face in {format_count(counts['faceless'], 'large photo')}: "
            f"--min-face-size {MIN_FACE_SIZE_PX} may find small ones"
        )
    return 1 if counts["failed"] else 0


class AnnotationFolder:
    """The folder of ``--annotate``, which is created if it does not exist; its files are kept.

    Raises:
        InvalidParameterError: It cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(f"--annotate: cannot make the folder {folder}") from error
        if not os.access(folder, os.W_OK):
            raise InvalidParameterError(f"--annotate: no permission to write to {folder}")
        self._folder = folder
        self._reserved: set[str] = set()

    def reserve(self, photo: str) -> Path:
        """Return the file for a photo's copy: its name, or ``name-2``, ``name-3`` if that exists.

        This keeps copies of photos with the same name, of earlier runs, and the photos themselves.
        """
        source = Path("stdin.jpg" if photo == "-" else photo)
        suffix = source.suffix if source.suffix.lower() in ENCODED_FORMATS else ".jpg"
        number, name = 1, source.stem + suffix
        # Some file systems ignore case: Party.jpg and party.jpg would be the same file.
        while name.casefold() in self._reserved or os.path.lexists(self._folder / name):
            number += 1
            name = f"{source.stem}-{number}{suffix}"
        self._reserved.add(name.casefold())
        return self._folder / name


def _photos(
    paths: Sequence[str], folder: AnnotationFolder | None
) -> Iterator[tuple[str, Path | bytes, Path | None]]:
    """Yield each photo's path, its source and the path of its annotated copy."""
    for path in paths:
        # Read in the main thread, which Ctrl-C can interrupt.
        source = sys.stdin.buffer.read() if path == _STDIN else Path(path)
        target = folder.reserve(path) if folder else None
        if target is not None and target.stem != Path(path).stem:
            say(f"{path}: its copy is named {target}")
        yield path, source, target


def _why_not_a_photo(path: str) -> UnreadableFileError | None:
    """Return the error for an argument that is not a photo, such as a folder or a URL."""
    if not path:
        return UnreadableFileError("the path is empty")
    if is_web_address(path):
        return UnreadableFileError("photos are not downloaded from web addresses")
    if is_uri(path):
        return UnreadableFileError("give the path of a file; mien batch reads object stores")
    if path != _STDIN and os.path.isdir(path):  # noqa: PTH112 -- Path.is_dir raises OSErrors
        command = shlex.join(["mien", "batch", path, "--out", "results.csv"])
        return UnreadableFileError(f"this is a folder; analyze its photos with: {command}")
    if glob.has_magic(path) and not os.path.lexists(path):
        return UnreadableFileError("no file matches this pattern; if it is in quotes, remove them")
    return None


def _reported(outcomes: Iterator[_Outcome], counts: Counter[str]) -> Iterator[ImageResult]:
    """Pass the results on; report and count failures, and count large photos without a face."""
    for result, complaint in outcomes:
        counts["faceless"] += not result.faces and result.width * result.height > SEARCHED_PIXELS
        if complaint is not None:
            counts["failed"] += 1
            not_an_image = result.error and result.error.code == NotAnImageError.code
            hint = "; mien video analyzes videos" if not_an_image else ""
            say(f"{result.path}: {complaint}{hint}")
        yield result


def _parser() -> Parser:
    parser = Parser(
        prog="mien analyze",
        description="Find the faces in photos, largest first, and classify their emotions. Prints "
        "plain text by default.",
        epilog="Exit status: 0 success, 1 some photos failed, 2 wrong usage.",
    )
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC file; - reads stdin",
    )
    formats = parser.add_mutually_exclusive_group()
    for option, about, printer in PRINTERS:
        formats.add_argument(
            option,
            dest="printer",
            action="store_const",
            const=printer,
            default=print_text,
            help=about,
        )
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR",
        help="write copies with labeled boxes to DIR; existing files are kept",
    )
    add_analysis_options(parser)
    return parser
