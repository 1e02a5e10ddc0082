"""What ``analyze`` and ``batch`` share: one photo after the other, and the options of looking."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from PIL import Image

from mien.classify.labels import LabelSet
from mien.cli.annotations import AnnotationFolder
from mien.cli.words import add_model_options, positive, whole
from mien.config import Settings
from mien.detect.scale import MIN_FACE_SIZE_PX
from mien.errors import ImageError
from mien.image import load_image
from mien.recognizer import Recognizer
from mien.render.annotate import annotate
from mien.render.json import Include
from mien.types import ImageResult

__all__ = ["Look", "Outcome", "PhotoReader", "Task", "add_look_options", "look_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look at photos, as the options say; can be sent to other processes."""

    min_face_size: int | None
    max_faces: int | None
    labels: LabelSet
    crop: bool
    settings: Settings

    def recognizer(self) -> Recognizer:
        """Load the models. Raises ArtifactError or InvalidParameterError."""
        return Recognizer(
            min_face_size=self.min_face_size,
            max_faces=self.max_faces,
            labels=self.labels,
            crop=self.crop,
            settings=self.settings,
        )


def look_of(options: argparse.Namespace) -> Look:
    """Return what ``add_look_options`` has read. Raises InvalidParameterError."""
    settings = Settings.from_environment(
        model=options.model, detector=options.detector, detector_model=options.detector_model
    )
    return Look(
        min_face_size=options.min_face_size,
        max_faces=options.max_faces,
        labels=LabelSet(options.labels),
        crop=options.crop,
        settings=settings,
    )


def add_look_options(
    parser: argparse.ArgumentParser, *, include: frozenset[Include] = frozenset()
) -> None:
    """Add what to look for and what to tell of it; include: what is told by default."""
    parser.add_argument(
        "--include",
        type=_includes,
        default=include,
        metavar="WHAT,...",
        help=f"more about each face: {', '.join(Include)}"
        + (f"; default {', '.join(include)}" if include else ""),
    )
    parser.add_argument("--labels", choices=list(map(str, LabelSet)), default="six")
    parser.add_argument(
        "--min-face-size",
        type=partial(whole, least=MIN_FACE_SIZE_PX),
        metavar="PX",
        help=f"smallest face looked for, {MIN_FACE_SIZE_PX} pixels or more",
    )
    parser.add_argument("--max-faces", type=positive, metavar="N", help="keep only the largest")
    parser.add_argument("--crop", action="store_true", help="each photo is one cropped face")
    add_model_options(parser)


def _includes(text: str) -> frozenset[Include]:
    try:
        return frozenset(Include(name.strip()) for name in text.split(","))
    except ValueError as error:
        known = ", ".join(Include)
        raise argparse.ArgumentTypeError(f"expected some of {known}; got {text!r}") from error


@dataclass(frozen=True, slots=True)
class Task:
    """path: as given; picture: what to read; target: where its annotated copy goes."""

    path: str
    picture: Path | bytes
    target: Path | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """complaint: words for people if the photo, or writing its copy, failed."""

    path: str
    result: ImageResult
    complaint: str | None = None


class PhotoReader:
    """Analyzes one photo after the other, from several threads."""

    def __init__(
        self,
        recognizer: Recognizer,
        save: Callable[[Image.Image, Path], None] | None = None,
    ) -> None:
        """Take what reads the photos; save: writes an annotated copy, as AnnotationFolder does."""
        self._recognizer, self._save = recognizer, save or AnnotationFolder.save

    def __call__(self, task: Task) -> Outcome:
        try:
            if task.target is None:
                return Outcome(task.path, self._recognizer.analyze(task.picture))
            return self._annotated(task, task.target)
        except ImageError as error:
            return Outcome(task.path, ImageResult(error=error), error.message)

    def _annotated(self, task: Task, target: Path) -> Outcome:
        """Analyze and write a copy; for both the picture is decoded once, with all its pixels."""
        started = perf_counter()
        image = load_image(task.picture, max_pixels=self._recognizer.max_pixels)
        decode = perf_counter() - started
        result = self._recognizer.analyze(image)
        result = replace(result, seconds=replace(result.seconds, decode=decode))
        try:
            self._save(annotate(image, result), target)
        except (OSError, ValueError):  # Pillow reports some limits of a format so
            return Outcome(task.path, result, f"can't write {target}")
        return Outcome(task.path, result)
