"""The measurements. If a system fails in one, the reason is recorded and the others continue."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from benchmarks.process import Worker, WorkerError
from benchmarks.recall import (
    HEIGHTS_PX,
    MIN_OVERLAP,
    boxes_of,
    outcome,
    photos_of,
    precision,
    recall,
)
from benchmarks.synthetic import many_faces, one_face
from benchmarks.versus_peers import scoring
from benchmarks.versus_peers.scoring import accuracy, questions
from benchmarks.versus_peers.systems import System
from mien_train.data import load_fer2013
from mien_train.photos import load_labels

SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))
# How the faces lie in a photo, in columns and rows; None for a single portrait.
GRIDS: dict[int, tuple[int, int] | None] = {1: None, 5: (5, 1), 10: (5, 2)}
# The common IoU threshold, and a lower one that tolerates wider or narrower boxes.
OVERLAPS = (MIN_OVERLAP, 0.3)
CROPS_AT_ONCE = 50

Result = dict[str, Any]
_Taker = TypeVar("_Taker")


class MissingError(Exception):
    """Data of a measurement is missing; the message says what to get and where to put it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Parameters of a run.

    Attributes:
        systems: The systems to measure.
        rounds: Rounds of timing.
        photos: Folder with photos and boxes.json.
        data: Folder with FER2013 and FER+.
        natural: Folder with photos and labels.csv.
        closeups: Folder with photos that one face fills.
        log: Receives the standard error of workers.
    """

    systems: Sequence[System]
    rounds: int
    photos: Path
    data: Path
    natural: Path
    closeups: Path
    log: IO[str] | None = None


def start(run: Run) -> Result:
    """Return seconds from the start of a process to the imported library and the first result."""
    taking_part = {system.name: system for system in run.systems}
    result: Result = {"rounds": run.rounds, "import_s": {}, "first_answer_s": {}, "failed": {}}

    def begin(system: System) -> None:
        with system.start(run.log) as worker:
            worker.ask(photo)
            result["import_s"].setdefault(system.name, []).append(worker.import_s)
            if lacks := worker.about()["lacks"]:
                result["failed"][system.name] = lacks
            else:
                times = result["first_answer_s"].setdefault(system.name, [])
                times.append(worker.first_answer_s)

    with photos(SIZES[:1], [1]) as paths:
        (photo,) = paths.values()
        for _ in range(run.rounds):
            each(taking_part, result["failed"], begin)
    return result


def speed(run: Run, threads: int | None) -> Result:
    """Measure the time of each photo, the faces found and the peak memory.

    In each round, the systems take turns with each photo; each analyzes it three times in a row.
    The median counts, because after a pause the first analysis has cold caches. A warm-up round is
    not counted.

    Args:
        run: Parameters.
        threads: Threads for one photo; None for all cores.
    """
    result: Result = {"rounds": run.rounds, "seconds": {}, "found": {}, "failed": {}}
    with photos(SIZES, list(GRIDS)) as paths, workers(run, result["failed"], threads) as running:
        result["photos"] = {name: count_of(name) for name in paths}
        for number in range(run.rounds + 1):
            for name, path in paths.items():
                outputs = each(running, result["failed"], lambda w, path=path: w.ask_again(path))
                for system, output in outputs.items():
                    result["found"].setdefault(system, {})[name] = len(output["faces"])
                    if number:
                        times = result["seconds"].setdefault(system, {})
                        times.setdefault(name, []).append(output["seconds"])
        for name in result["failed"].keys() & result["seconds"].keys():
            # Incomplete times cannot be compared with those of the others.
            del result["seconds"][name], result["found"][name]
        result["peak_mb"] = {name: worker.peak_mb for name, worker in running.items()}
    return result


def crops(run: Run) -> Result:
    """Measure the accuracy of each system on the faces of FER2013's PublicTest.

    Raises:
        MissingError: There is no FER2013 or FER+.
    """
    if not any(run.data.glob("fer2013.csv*")) or not (run.data / "fer2013new.csv").exists():
        raise MissingError(
            f"{run.data} needs fer2013.csv (Kaggle, Challenges in Representation Learning: Facial "
            "Expression Recognition Challenge) and fer2013new.csv (GitHub, microsoft/FERPlus); "
            "another folder with them: DATA=FOLDER"
        )
    data = load_fer2013(run.data).split("PublicTest")
    encoded = [base64.b64encode(face.tobytes()).decode() for face in data.faces]
    asked_questions = questions(data)

    def scored(chosen: tuple[System, str | None]) -> Result:
        system, output = chosen
        with system.start(run.log, output=output) as worker:
            able(worker)
            scores = []
            for at in range(0, len(encoded), CROPS_AT_ONCE):
                scores += worker.scores(encoded[at : at + CROPS_AT_ONCE])
        return {question.name: accuracy(question, scores) for question in asked_questions}

    taking_part: dict[str, tuple[System, str | None]] = {}
    for system in run.systems:
        taking_part[system.name] = (system, None)
        taking_part |= {f"{system.name}, {o} output": (system, o) for o in system.outputs}
    failed: dict[str, str] = {}
    predictions = each(taking_part, failed, scored)
    return {"faces": len(data), "accuracy": predictions, "failed": failed}


def found(run: Run) -> Result:
    """Measure recall and precision of each system on photos with known boxes.

    Raises:
        MissingError: There are no such photos.
    """
    if not (run.photos / "boxes.json").exists():
        raise MissingError(
            f"{run.photos} needs photos and boxes.json, of the form that benchmarks/recall.py says "
            "(such as WIDER FACE's validation set); another folder with them: PHOTOS=FOLDER"
        )
    known = photos_of(run.photos)

    def searched(system: System) -> Result:
        with system.start(run.log) as worker:
            boxes = [boxes_of(worker.ask(photo.path)) for photo in known]
        predictions = {}
        for overlap in OVERLAPS:
            outcomes = [outcome(p, found, overlap) for p, found in zip(known, boxes, strict=True)]
            recalls = {str(height): recall(outcomes, height) for height in HEIGHTS_PX}
            predictions[str(overlap)] = {"recall": recalls, "precision": precision(outcomes)}
        return predictions

    predictions, failed = of_systems(run, searched)
    faces = sum(int(photo.counted.sum()) for photo in known)
    return {"photos": len(known), "faces": faces, "found": predictions, "failed": failed}


def natural(run: Run) -> Result:
    """Measure faces found and accuracy on labeled faces of everyday photos.

    Raises:
        MissingError: There are no such photos.
    """
    if not (run.natural / "labels.csv").exists():
        raise MissingError(
            f"{run.natural} needs photos and labels.csv, as for mien-train evaluate --photos; "
            "another folder with them: OPTIONS='--natural FOLDER'"
        )
    labeled = load_labels(run.natural)
    files = sorted({face.file for face in labeled})

    def scored(system: System) -> Result:
        with system.start(run.log) as worker:
            found = {file: worker.ask(run.natural / file)["faces"] for file in files}
        faces = [found[face.file] for face in labeled]
        random = [number for number, face in enumerate(labeled) if face.is_random]
        return {
            "random": scoring.natural([labeled[n] for n in random], [faces[n] for n in random]),
            "every": scoring.natural(labeled, faces),
        }

    predictions, failed = of_systems(run, scored)
    counts = {"random": sum(face.is_random for face in labeled), "every": len(labeled)}
    return {"faces": counts, "scores": predictions, "failed": failed}


def closeups(run: Run) -> Result:
    """Measure in how many photos that one face fills a face is found.

    Raises:
        MissingError: There are no such photos.
    """
    photos = sorted(run.closeups.glob("*.jpg"))
    if not photos:
        raise MissingError(
            f"{run.closeups} needs JPEG files that one face fills; another folder with them: "
            "OPTIONS='--closeups FOLDER'"
        )

    def searched(system: System) -> float:
        with system.start(run.log) as worker:
            return sum(bool(worker.ask(photo)["faces"]) for photo in photos) / len(photos)

    predictions, failed = of_systems(run, searched)
    return {"photos": len(photos), "found": predictions, "failed": failed}


def of_systems(run: Run, do: Callable[[System], Any]) -> tuple[Result, dict[str, str]]:
    """Return the results of all systems, and the reasons of those that fail."""
    failed: dict[str, str] = {}
    return each({system.name: system for system in run.systems}, failed, do), failed


def each(
    taking_part: dict[str, _Taker], failed: dict[str, str], do: Callable[[_Taker], Any]
) -> Result:
    """Call ``do`` for each system.

    Args:
        taking_part: What to pass to ``do``, by system; systems that fail are removed.
        failed: Receives the reasons of failures, by system.
        do: The call.
    """
    predictions = {}
    for name, taker in list(taking_part.items()):
        try:
            predictions[name] = do(taker)
        except WorkerError as error:
            failed[name] = str(error).removeprefix(f"{name}: ")
            del taking_part[name]
    return predictions


def able(worker: Worker) -> Worker:
    """Return the worker if it can classify emotions.

    Raises:
        WorkerError: Something is missing for that.
    """
    if lacks := worker.about()["lacks"]:
        raise WorkerError(lacks)
    return worker


@contextmanager
def workers(run: Run, failed: dict[str, str], threads: int | None) -> Iterator[dict[str, Worker]]:
    """Run a worker of each system."""
    with ExitStack() as running:
        yield each(
            {system.name: system for system in run.systems},
            failed,
            lambda system: able(running.enter_context(system.start(run.log, threads))),
        )


@contextmanager
def photos(sizes: Sequence[tuple[int, int]], faces: Sequence[int]) -> Iterator[dict[str, Path]]:
    """Write synthetic photos with these sizes and numbers of faces; yield them by name."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for width, height in sizes:
            for count in faces:
                grid = GRIDS[count]
                path = Path(folder) / f"{width}-{height}-{count}.jpg"
                path.write_bytes(
                    many_faces(width, height, *grid) if grid else one_face(width, height)
                )
                paths[f"{width} x {height}, {count} face{'s' * (count > 1)}"] = path
        yield paths


def count_of(name: str) -> int:
    """Return the number of faces in a photo of this name."""
    return int(name.split()[-2])
