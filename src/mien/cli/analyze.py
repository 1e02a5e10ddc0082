"""``mien analyze``: photos in, results out as they come."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from mien.classify.labels import LabelSet
from mien.cli.annotations import AnnotationFolder
from mien.cli.formats import FORMATS, Photo
from mien.cli.words import add_model_options, positive, say
from mien.config import Settings
from mien.errors import ImageError
from mien.image import load_image
from mien.recognizer import Recognizer, in_order
from mien.render.annotate import annotate
from mien.render.json import Include
from mien.types import ImageResult

__all__ = ["run"]

_STDIN = "-"


@dataclass(frozen=True, slots=True)
class _Task:
    """path: as given; picture: what to read; target: where its annotated copy goes."""

    path: str
    picture: Path | bytes
    target: Path | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """complaint: words for people if the photo, or writing its copy, failed."""

    path: str
    result: ImageResult
    complaint: str | None = None


class _Worker:
    """Analyzes one photo after the other, from several threads."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer

    def __call__(self, task: _Task) -> _Outcome:
        try:
            if task.target is None:
                return _Outcome(task.path, self._recognizer.analyze(task.picture))
            return self._annotated(task, task.target)
        except ImageError as error:
            return _Outcome(task.path, ImageResult(error=error), error.message)

    def _annotated(self, task: _Task, target: Path) -> _Outcome:
        """Analyze and write a copy; for both the picture is decoded once, with all its pixels."""
        started = perf_counter()
        image = load_image(task.picture, max_pixels=self._recognizer.max_pixels)
        decode = perf_counter() - started
        result = self._recognizer.analyze(image)
        result = replace(result, seconds=replace(result.seconds, decode=decode))
        try:
            AnnotationFolder.save(annotate(image, result), target)
        except (OSError, ValueError):  # Pillow reports some limits of a format so
            return _Outcome(task.path, result, f"can't write {target}")
        return _Outcome(task.path, result)


def run(arguments: Sequence[str]) -> int:
    """Print a result per photo, in order; 1 if some failed.

    Raises ArtifactError or InvalidParameterError before the first photo is read.
    """
    options = _parser().parse_args(arguments)
    folder = AnnotationFolder(options.annotate) if options.annotate else None
    settings = Settings.from_environment(
        model=options.model, detector=options.detector, detector_model=options.detector_model
    )
    recognizer = Recognizer(
        min_face_size=options.min_face_size,
        max_faces=options.max_faces,
        labels=options.labels,
        crop=options.crop,
        settings=settings,
    )
    failures: list[str] = []
    tasks = _tasks(options.photos, folder)
    with closing(in_order(_Worker(recognizer), tasks, threads=recognizer.threads)) as outcomes:
        photos = _complaining(outcomes, failures)
        FORMATS[options.format](photos, LabelSet(options.labels), options.include)
    return 1 if failures else 0


def _tasks(paths: Sequence[str], folder: AnnotationFolder | None) -> Iterator[_Task]:
    for path in paths:
        # Read here and not by a worker, which could not be interrupted while it waits.
        picture = sys.stdin.buffer.read() if path == _STDIN else Path(path)
        target = folder.reserve(path) if folder else None
        if target is not None and target.stem != Path(path).stem:
            say(f"{path}: its copy is named {target}")
        yield _Task(path, picture, target)


def _complaining(outcomes: Iterator[_Outcome], failures: list[str]) -> Iterator[Photo]:
    for outcome in outcomes:
        if outcome.complaint is not None:
            failures.append(outcome.path)
            say(f"{outcome.path}: {outcome.complaint}")
        yield outcome.path, outcome.result


def _includes(text: str) -> frozenset[Include]:
    try:
        return frozenset(Include(name.strip()) for name in text.split(","))
    except ValueError as error:
        known = ", ".join(Include)
        raise argparse.ArgumentTypeError(f"expected some of {known}; got {text!r}") from error


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
    parser.add_argument(
        "--include",
        type=_includes,
        default=frozenset(),
        metavar="WHAT,...",
        help=f"more about each face: {', '.join(Include)}",
    )
    parser.add_argument("--labels", choices=list(map(str, LabelSet)), default="six")
    parser.add_argument(
        "--min-face-size", type=positive, metavar="PX", help="smallest face looked for, in pixels"
    )
    parser.add_argument("--max-faces", type=positive, metavar="N", help="keep only the largest")
    parser.add_argument("--crop", action="store_true", help="each photo is one cropped face")
    add_model_options(parser)
    return parser
