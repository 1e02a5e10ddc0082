"""``mien batch``: thousands of photos into one table, with all cores; can be stopped any time."""

import argparse
import glob
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from time import perf_counter

from PIL import Image
from tqdm import tqdm

from mien.batch.journal import Journal, key_of
from mien.batch.local import Processes, WorkerDiedError
from mien.batch.source import photos_of
from mien.batch.table import SUFFIXES, check_suffix
from mien.cli.annotations import encoded
from mien.cli.photos import Look, PhotoReader, Task, add_look_options, look_of
from mien.cli.words import say
from mien.cores import available_cores
from mien.errors import ImageError, InvalidParameterError
from mien.render.csv import Cell, csv_header, csv_rows
from mien.render.json import Include
from mien.types import ImageResult

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Done:
    """rows: of one photo; emotions: of its faces; failed: whether it, or writing its copy, did.

    seconds: spent on decoding, detection and classification.
    """

    rows: list[tuple[Cell, ...]]
    emotions: tuple[str, ...] = ()
    failed: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Job:
    """What a process needs to work on photos; called there once."""

    look: Look
    include: frozenset[Include]

    def __call__(self) -> "_Worker":
        return _Worker(PhotoReader(self.look.recognizer(), save=_save), self)

    def rows(self, path: str, result: ImageResult) -> list[tuple[Cell, ...]]:
        return csv_rows(path, result, self.look.labels.emotions, self.include)


@dataclass(frozen=True, slots=True)
class _Worker:
    read: PhotoReader
    job: _Job

    def __call__(self, task: Task) -> _Done:
        outcome = self.read(task)
        rows = self.job.rows(task.path, outcome.result)
        emotions = tuple(face.emotion.value for face in outcome.result.faces)
        seconds = sum(asdict(outcome.result.seconds).values())
        return _Done(rows, emotions, outcome.complaint is not None, seconds)


class _CrashedError(ImageError):
    """The process that worked on the photo died, twice."""

    code = "internal_error"


@dataclass(slots=True)
class _Tally:
    """What came of this run. skipped: photos that an earlier one had done."""

    skipped: int = 0
    photos: int = 0
    failed: int = 0
    busy_s: float = 0.0
    emotions: Counter[str] = field(default_factory=Counter)

    def add(self, done: _Done) -> None:
        self.photos += 1
        self.failed += done.failed
        self.busy_s += done.seconds
        self.emotions.update(done.emotions)

    def words(self, seconds: float, processes: int) -> Iterator[str]:
        faces = self.emotions.total()
        earlier = f", {self.skipped} were done before" if self.skipped else ""
        busy = self.busy_s / max(seconds * processes, 1e-9)
        yield (
            f"{self.photos} photos, {faces} faces, {self.failed} failed{earlier}; "
            f"{self.photos / max(seconds, 1e-9):.1f} a second; inference took {busy:.0%} of "
            f"{processes} {'core' if processes == 1 else 'cores'}"
        )
        for emotion, count in self.emotions.most_common():
            yield f"  {emotion:<8} {count:>7}  {count / faces:5.1%}"


def run(arguments: Sequence[str]) -> int:
    """Write the table; 1 if some photos failed. Raises InvalidParameterError or ArtifactError."""
    options = _parser().parse_args(arguments)
    check_suffix(options.out)
    look = look_of(options)
    # Here too, so that what is wrong with a model is told before any process begins.
    look.recognizer()
    annotated = _Copies.of(options.annotate, options.source) if options.annotate else None
    columns = csv_header(look.labels.emotions, options.include)
    journal = Journal(options.out)
    if _is_finished(options.out, journal, resume=options.resume):
        say(f"{options.out} is there already: nothing to do")
        return 0
    with journal.opened(columns, _asked(options, look)):
        tally = _Tally()
        processes = look.settings.threads or available_cores()
        began = perf_counter()
        try:
            _work(
                options.source,
                _Job(look, options.include),
                journal,
                copies=annotated,
                processes=processes,
                tally=tally,
            )
        except KeyboardInterrupt:
            say(f"stopped; go on with: mien batch {shlex.join(arguments)} --resume")
            raise
        journal.finish(columns)
    for line in tally.words(perf_counter() - began, processes):
        say(line)
    return 1 if tally.failed else 0


def _work(
    source: str,
    job: _Job,
    journal: Journal,
    *,
    copies: "_Copies | None",
    processes: int,
    tally: _Tally,
) -> None:
    finished = journal.done()
    total = sum(1 for _ in photos_of(source))
    if not total:
        raise InvalidParameterError(f"{source}: there is no photo")

    def tasks() -> Iterator[Task]:
        for path in photos_of(source):
            if key_of(path) in finished:
                tally.skipped += 1
                bar.update()
            else:
                yield Task(path, Path(path), copies.place(path) if copies else None)

    with tqdm(total=total, unit=" photos", file=sys.stderr, disable=None) as bar:
        answers = Processes(job, processes).in_order(tasks())
        with closing(answers):  # type: ignore[type-var]
            for task, answer in answers:
                done = _died(job, task) if isinstance(answer, WorkerDiedError) else answer
                journal.add(task.path, done.rows)
                tally.add(done)
                bar.set_postfix(failed=tally.failed, refresh=False)
                bar.update()


def _died(job: _Job, task: Task) -> _Done:
    error = _CrashedError("the process that read the photo was killed, perhaps for memory")
    return _Done(job.rows(task.path, ImageResult(error=error)), failed=True)


def _is_finished(out: Path, journal: Journal, *, resume: bool) -> bool:
    """Say whether the table is complete. Raises InvalidParameterError if it may not be written."""
    if journal.path.exists():
        if not resume:
            raise InvalidParameterError(
                f"an unfinished run is there: go on with --resume, or delete {journal.path}"
            )
        return False
    if out.exists() and not resume:
        raise InvalidParameterError(f"{out} exists; choose another name or delete it")
    return out.exists()


def _asked(options: argparse.Namespace, look: Look) -> dict[str, str]:
    """Return what must be the same for a run to go on."""
    names = ("model", "detector", "detector_model", "max_pixels", "min_face_size")
    settings = {f"setting_{name}": str(getattr(look.settings, name)) for name in names}
    looked = {name: str(getattr(look, name)) for name in ("min_face_size", "max_faces", "crop")}
    return {"source": options.source, "labels": look.labels.value, **looked, **settings}


@dataclass(frozen=True, slots=True)
class _Copies:
    """Where annotated copies go: under ``folder`` as the photos lie under ``root``."""

    folder: Path
    root: Path

    @classmethod
    def of(cls, folder: Path, source: str) -> "_Copies":
        root = Path(source) if Path(source).is_dir() else Path(_fixed_part(source))
        if Path(source).is_dir() and folder.resolve().is_relative_to(root.resolve()):
            raise InvalidParameterError("--annotate: the copies would become photos of the source")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(f"--annotate: can't make the folder {folder}") from error
        return cls(folder, root)

    def place(self, path: str) -> Path:
        """Return where a photo's copy goes; the same in every run."""
        relative = PurePath(os.path.relpath(path, self.root))
        parts = [part for part in relative.parts if part not in ("..", relative.anchor)]
        return self.folder.joinpath(*parts)


def _fixed_part(source: str) -> str:
    """Return the folder of a manifest, or that of a glob before its first wildcard."""
    parts = Path(source).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(Path(*parts[:fixed])) if fixed else "."


def _save(picture: Image.Image, target: Path) -> None:
    """Write a copy as a whole or not at all; one of an earlier run is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(encoded(picture, target.suffix))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien batch",
        description="Reads thousands of photos with all cores and writes one table: a row for each "
        "face, one for a photo without any, one with the error for a photo that failed.",
        epilog="Exit status: 0 done, 1 some photos failed, 2 wrong usage, 130 interrupted. "
        "A run that ended early, however, goes on with --resume.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder; a glob in quotes, such as 'photos/**/*.jpg'; or a manifest: .csv or "
        ".parquet with a column path or uri, .txt with a path a line",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"the table: {', '.join(SUFFIXES)} (Parquet needs the extra batch)",
    )
    parser.add_argument("--resume", action="store_true", help="go on where a run was stopped")
    parser.add_argument("--annotate", type=Path, metavar="DIR", help="put labelled copies here")
    add_look_options(parser, include=frozenset({Include.SCORES}))
    return parser
