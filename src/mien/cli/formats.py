"""Output formats of ``mien analyze``; each prints results as they arrive."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from mien.classify.labels import LabelSet
from mien.cli.console import printable
from mien.options import Include
from mien.render.numbers import format_count, format_probability
from mien.results import ImageResult, table_columns
from mien.types import FaceEmotion

__all__ = ["PRINTERS", "print_text"]

Printer = Callable[[Iterable[ImageResult], LabelSet, frozenset[Include]], None]


def _print_json(results: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    """Print a JSON list; each result is written as it arrives, so memory stays constant."""
    separator = "["
    for result in results:
        # ASCII is valid in any encoding. Paths are text: see ``path_to_text``.
        print(f"{separator}{result.to_json(include)}", end="", flush=True)
        separator = ",\n "
    print("]" if separator != "[" else "[]")


def _print_jsonl(results: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    for result in results:
        print(result.to_json(include), flush=True)


def _print_csv(
    results: Iterable[ImageResult], labels: LabelSet, include: frozenset[Include]
) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table_columns(labels, include))
    for result in results:
        writer.writerows(row.values() for row in result.to_rows(labels, include))
        sys.stdout.flush()


def print_text(results: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    """Print plain text, the default without an option of ``PRINTERS``."""
    for result in results:
        # Failures are reported on stderr.
        if result.error is None:
            print("\n".join(_text(result, include)), flush=True)


# Each format's option, the option's help, and the printer.
PRINTERS: tuple[tuple[str, str, Printer], ...] = (
    ("--json", "print a JSON list with one object per photo", _print_json),
    ("--jsonl", "print JSON Lines: one object per photo", _print_jsonl),
    ("--csv", "print CSV: a row per face, or one for a photo without a face", _print_csv),
)


def _text(result: ImageResult, include: frozenset[Include]) -> Iterator[str]:
    """Yield the lines of one image."""
    count = len(result.faces)
    found = format_count(count, "face") if count else "no face"
    turned = f", turned by {result.turn} degrees" if result.turn else ""
    yield f"{printable(str(result.path))} ({result.width} x {result.height}{turned}): {found}"
    for face in result.faces:
        x, y, width, height = face.box.to_pixels(result.width, result.height)
        confidence = format_probability(face.confidence)
        yield f"  {face.emotion.value:<8} {confidence:>6}  at {x}, {y}, size {width} x {height}"
        yield from (f"    {line}" for line in _details(face, include))


def _details(face: FaceEmotion, include: frozenset[Include]) -> Iterator[str]:
    if Include.SCORES in include:
        ranked = sorted(face.scores.items(), key=lambda item: -item[1])
        yield ", ".join(
            f"{emotion.value} {format_probability(score, 1)}" for emotion, score in ranked
        )
    if Include.LANDMARKS in include and face.landmarks is not None:
        points = asdict(face.landmarks).items()
        yield ", ".join(f"{name.replace('_', ' ')} {x:.0f}, {y:.0f}" for name, (x, y) in points)
    if Include.DETECTION in include and face.detection is not None:
        yield f"detection {face.detection:.3f}"
    if Include.QUALITY in include and face.quality is not None:
        measures = face.quality
        yield (
            f"sharpness {measures.sharpness:.0f}, brightness {measures.brightness:.2f}, "
            f"contrast {measures.contrast:.2f}"
        )
        if measures.yaw is not None:
            yield f"yaw {measures.yaw:z.0f}, pitch {measures.pitch:z.0f}, roll {measures.roll:z.0f}"
