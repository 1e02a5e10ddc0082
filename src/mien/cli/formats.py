"""How ``mien analyze`` prints its results, photo by photo as they come."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict

from mien.classify.labels import LabelSet
from mien.cli.console import printable
from mien.options import Include
from mien.render.words import chance, counted
from mien.results import ImageResult, table_columns
from mien.types import FaceEmotion

__all__ = ["FORMATS", "Printer"]

Printer = Callable[[Iterable[ImageResult], LabelSet, frozenset[Include]], None]


def _print_json(photos: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    """Print one list; each photo is written when it is done, so nothing piles up."""
    before = "["
    for result in photos:
        # ASCII: valid in any encoding, and a name that is not text comes back with os.fsencode.
        print(f"{before}{result.to_json(include)}", end="", flush=True)
        before = ",\n "
    print("]" if before != "[" else "[]")


def _print_jsonl(photos: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    for result in photos:
        print(result.to_json(include), flush=True)


def _print_csv(
    photos: Iterable[ImageResult], labels: LabelSet, include: frozenset[Include]
) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table_columns(labels, include))
    for result in photos:
        writer.writerows(row.values() for row in result.to_rows(labels, include))
        sys.stdout.flush()


def _print_text(photos: Iterable[ImageResult], _: LabelSet, include: frozenset[Include]) -> None:
    for result in photos:
        # What failed is told on stderr: here it would only be in the way.
        if result.error is None:
            print("\n".join(_text(result, include)), flush=True)


FORMATS: Mapping[str, Printer] = {
    "text": _print_text,
    "json": _print_json,
    "jsonl": _print_jsonl,
    "csv": _print_csv,
}


def _text(result: ImageResult, include: frozenset[Include]) -> Iterator[str]:
    count = len(result.faces)
    found = counted(count, "face") if count else "no face"
    yield f"{printable(str(result.path))} ({result.width} x {result.height}): {found}"
    for face in result.faces:
        x, y, width, height = face.box.to_pixels(result.width, result.height)
        sure = chance(face.confidence)
        yield f"  {face.emotion.value:<8} {sure:>6}  at {x}, {y}, size {width} x {height}"
        yield from (f"    {line}" for line in _more(face, include))


def _more(face: FaceEmotion, include: frozenset[Include]) -> Iterator[str]:
    if Include.SCORES in include:
        ranked = sorted(face.scores.items(), key=lambda item: -item[1])
        yield ", ".join(f"{emotion.value} {chance(score, 1)}" for emotion, score in ranked)
    if Include.LANDMARKS in include and face.landmarks is not None:
        points = asdict(face.landmarks).items()
        yield ", ".join(f"{name.replace('_', ' ')} {x:.0f}, {y:.0f}" for name, (x, y) in points)
    if Include.DETECTION in include and face.detection is not None:
        yield f"detection {face.detection:.3f}"
