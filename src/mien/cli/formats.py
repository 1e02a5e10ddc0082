"""How ``mien analyze`` prints its results, photo by photo as they come."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mien.classify.labels import LabelSet
from mien.cli.words import printable
from mien.render.csv import csv_header, csv_rows
from mien.render.json import Include, error_record, face_records
from mien.render.words import chance, counted
from mien.types import FaceEmotion, ImageResult

__all__ = ["FORMATS", "Photo", "Printer", "photo_record"]

# The path as it was given, and what the photo gave.
Photo = tuple[str, ImageResult]
Printer = Callable[[Iterable[Photo], LabelSet, frozenset[Include]], None]

_SECONDS_DECIMALS = 4


def photo_record(path: str, result: ImageResult, include: frozenset[Include]) -> dict[str, Any]:
    """Return ``path`` with ``size``, ``faces`` and ``seconds``, or with ``error``."""
    if result.error is not None:
        return {"path": path, "error": error_record(result.error.code, result.error.message)}
    seconds = asdict(result.seconds)
    return {
        "path": path,
        "size": [result.width, result.height],
        "faces": face_records(result, include),
        "seconds": {stage: round(spent, _SECONDS_DECIMALS) for stage, spent in seconds.items()},
    }


def _print_json(photos: Iterable[Photo], _: LabelSet, include: frozenset[Include]) -> None:
    """Print one list; each photo is written when it is done, so nothing piles up."""
    before = "["
    for path, result in photos:
        # ASCII: valid in any encoding, and a name that is not text comes back with os.fsencode.
        print(f"{before}{json.dumps(photo_record(path, result, include))}", end="", flush=True)
        before = ",\n "
    print("]" if before != "[" else "[]")


def _print_jsonl(photos: Iterable[Photo], _: LabelSet, include: frozenset[Include]) -> None:
    for path, result in photos:
        print(json.dumps(photo_record(path, result, include)), flush=True)


def _print_csv(photos: Iterable[Photo], labels: LabelSet, include: frozenset[Include]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(csv_header(labels.emotions, include))
    for path, result in photos:
        writer.writerows(csv_rows(path, result, labels.emotions, include))
        sys.stdout.flush()


def _print_text(photos: Iterable[Photo], _: LabelSet, include: frozenset[Include]) -> None:
    for path, result in photos:
        # What failed is told on stderr: here it would only be in the way.
        if result.error is None:
            print("\n".join(_text(path, result, include)), flush=True)


FORMATS: Mapping[str, Printer] = {
    "text": _print_text,
    "json": _print_json,
    "jsonl": _print_jsonl,
    "csv": _print_csv,
}


def _text(path: str, result: ImageResult, include: frozenset[Include]) -> Iterator[str]:
    count = len(result.faces)
    found = counted(count, "face") if count else "no face"
    yield f"{printable(path)} ({result.width} x {result.height}): {found}"
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
