"""``mien batch``: analyze many images on all cores into one table; runs can be resumed."""

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from mien.artifacts import Card
from mien.batch.copies import AnnotatedCopies
from mien.batch.paths import path_to_text
from mien.batch.run import Engine, LocalEngine, Run, table_file
from mien.batch.source import IMAGE_SUFFIXES
from mien.batch.storage import is_uri
from mien.batch.table import SUFFIXES, format_of
from mien.batch.task import ImageTask
from mien.classify.onnx import DEFAULT_MODEL
from mien.cli.console import say
from mien.cli.options import add_analysis_options, recognizer_arguments
from mien.cli.parser import Parser, positive
from mien.cli.termination import cleaning_up
from mien.cores import available_cores
from mien.detect.registry import DEFAULT_DETECTOR
from mien.errors import InvalidParameterError
from mien.options import Include, Options
from mien.recognizer import Recognizer
from mien.render.numbers import format_count, format_percent
from mien.results import table_columns

__all__ = ["run"]

_STALL_AFTER_S = 600
# For the local engine. A shard that is interrupted is analyzed again, so shards are small where
# they are temporary files, and larger where each is a file of the result.
_TEMPORARY_SHARD_SIZE, _LASTING_SHARD_SIZE = 32, 250

# Earlier releases recorded only options that differ from these.
_DEFAULTS: Mapping[str, Any] = {
    "detector": DEFAULT_DETECTOR,
    "detector_model": None,
    "model": DEFAULT_MODEL,
    **asdict(Options()),
}


def run(arguments: Sequence[str]) -> int:
    """Write the table; return 1 if some images failed or the results cannot be written.

    Raises:
        InvalidParameterError: The source, the table or an earlier run do not allow it.
        ArtifactError: A model file is missing or altered.
    """
    options = _parsed(arguments)
    started = perf_counter()
    skipped: Counter[str] = Counter()
    resume = [] if options.resume else ["--resume"]
    command = f"mien batch {shlex.join([*resume, *arguments])}"
    with cleaning_up():
        try:
            chosen = recognizer_arguments(options)
            batch = _run_of(options, chosen, skipped)
            worked = batch.execute(_engine(options, chosen.get("threads"), batch))
        except (KeyboardInterrupt, SystemExit):
            say(f"stopped; to continue: {command}")
            raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            say(f"the results cannot be written: {reason}; to continue: {command}")
            return 1
    if worked:
        lines = _summary(batch, perf_counter() - started)
    else:
        lines = iter([f"{options.out}: nothing to do{_earlier(batch)}"])
    for line in (*lines, *_failures(batch), *_skipped(skipped)):
        say(line)
    return 1 if batch.progress.failed or batch.failed_before else 0


def _run_of(options: argparse.Namespace, arguments: dict[str, Any], skipped: Counter[str]) -> Run:
    def on_skip(path: str, reason: str) -> None:
        skipped[reason] += 1
        if options.verbose:
            say(f"skipped: {path_to_text(path)}: {reason}")

    if options.out == "-":
        raise InvalidParameterError(
            "--out: give the name of a file, such as results.csv; mien analyze --csv prints to "
            "standard output"
        )
    table_format = format_of(table_file(options.out))
    if options.excel and not table_format.may_have_mark:
        raise InvalidParameterError("--excel: needs --out with a name that ends with .csv")
    # A bad model or option is reported before any process starts.
    recognizer = Recognizer(**arguments)
    copies = options.annotate and AnnotatedCopies.of_source(
        options.annotate, options.source, resume=options.resume
    )
    return Run(
        source=options.source,
        out=options.out,
        resume=options.resume,
        task=ImageTask(arguments, options.include, copies, as_objects=table_format.has_objects),
        columns=table_columns(options.labels, options.include),
        options=_same_options(options, arguments, recognizer),
        defaults={name: str(value) for name, value in _DEFAULTS.items()},
        shard_size=options.shard_size,
        byte_order_mark=options.excel,
        on_skip=on_skip,
    )


def _engine(options: argparse.Namespace, threads: int | None, batch: Run) -> Engine:
    if options.engine == "local":
        if options.address:
            raise InvalidParameterError("--address: needs --engine ray")
        size = _TEMPORARY_SHARD_SIZE if batch.table else _LASTING_SHARD_SIZE
        return LocalEngine(threads or available_cores(), size)
    try:
        cluster = import_module("mien.cluster.engine")
    except ImportError as error:
        raise InvalidParameterError(
            "--engine ray: it is not installed; install it with: pip install 'mien[cluster]'"
        ) from error
    engine: Engine = cluster.RayEngine(options.address, threads, options.stall_after, say)
    return engine


def _same_options(
    options: argparse.Namespace, arguments: Mapping[str, Any], recognizer: Recognizer
) -> dict[str, str]:
    """Return what must not change when a run is resumed, defaults included."""
    detector_file = arguments.get("detector_model")
    # A folder may be given with or without a slash at its end.
    source = options.source if is_uri(options.source) else str(Path(options.source))
    values = {
        "source": path_to_text(source),
        "include": ",".join(sorted(options.include)),
        "format": Path(options.out).suffix.lower(),
        **_DEFAULTS,
        **arguments,
        **asdict(recognizer.options),
        "detector_sha256": detector_file and sha256(detector_file.read_bytes()).hexdigest(),
        "model_card_sha256": _sha256_of_card(recognizer),
    }
    return {name: str(value) for name, value in values.items() if name != "threads"}


def _sha256_of_card(recognizer: Recognizer) -> str | None:
    """Return a SHA-256 over the card: the hashes of its files and its settings.

    None for a plug-in classifier, which has no card.
    """
    card = getattr(recognizer.classifier, "card", None)
    if not isinstance(card, Card):
        return None
    content = json.dumps([card.files, card.model], sort_keys=True, default=str)
    return sha256(content.encode()).hexdigest()


def _summary(batch: Run, seconds: float) -> Iterator[str]:
    """Yield the lines for the user; ``seconds``: how long the run took."""
    progress, faces = batch.progress, batch.progress.emotions.total()
    busy = progress.seconds / max(seconds * batch.cores, 1e-9)
    yield (
        f"{format_count(progress.images, 'image')}, {format_count(faces, 'face')}, "
        f"{progress.failed:,} failed{_earlier(batch)}; "
        f"{progress.images / max(seconds, 1e-9):.1f} images per second; "
        f"{format_count(batch.cores, 'core')} {format_percent(busy)} busy with analysis"
    )
    for emotion, count in progress.emotions.most_common():
        yield f"  {emotion:<8} {count:>7}  {format_percent(count / faces, 1):>8}"


def _earlier(batch: Run) -> str:
    """Return what earlier runs had finished, as the end of a sentence."""
    if not batch.finished_before:
        return ""
    failed = f" ({batch.failed_before:,} of them failed)" if batch.failed_before else ""
    return f", {batch.finished_before:,} finished before{failed}"


def _failures(batch: Run) -> Iterator[str]:
    """Yield the first failures, how many more there are, and where to find them in the table."""
    failures = batch.progress.failures
    yield from (f"failed: {failure}" for failure in failures)
    if failures:
        rest = batch.progress.failed - len(failures)
        more = f"{rest:,} more failed; " if rest else ""
        has_objects = format_of(batch.table).has_objects
        place = "the key error" if has_objects else "the column error_message"
        yield f"{more}errors of images are in {place} of {batch.out}"


def _skipped(skipped: Counter[str]) -> Iterator[str]:
    if skipped:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in skipped.most_common())
        yield f"skipped files and folders: {reasons} (--verbose shows each)"


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others and not any(each.startswith("-") for each in others):
        parser.error(
            f"expected one SOURCE, got {1 + len(others)}; put a glob in quotes, so that the shell "
            "does not expand it"
        )
    if others:
        parser.error(f"unrecognized arguments: {shlex.join(others)}")
    return options


def _parser() -> Parser:
    parser = Parser(
        prog="mien batch",
        description="Analyze many images on all cores and write one table. It has a row for each "
        "face, one for an image without a face, and one with the error for an image that failed.",
        epilog="Exit status: 0 success, 1 some images failed (with --resume, also earlier), "
        "2 wrong usage, 130 interrupted. A run that was stopped or killed continues with --resume. "
        "In tables, a byte of a file name that is not UTF-8 is written as \\x and two digits.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help=f"a folder (its files {', '.join(sorted(IMAGE_SUFFIXES))}); a glob in quotes, such as "
        "'photos/**/*.jpg'; or a manifest: .csv, .tsv or .parquet with a column path or uri, or "
        ".txt with one path per line. Folders, manifests and what these list may be URIs, such as "
        "s3://bucket/photos",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"the table: {', '.join(SUFFIXES)} (Parquet needs the extra batch); .jsonl has an "
        "object per image, as mien analyze --jsonl prints it. A name without a suffix, or a URI, "
        "is a folder that gets several Parquet files",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue an earlier run, and analyze images that were added to SOURCE since",
    )
    parser.add_argument("--excel", action="store_true", help="write CSV that Excel reads as UTF-8")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR",
        help="write annotated copies to DIR, in the same subfolders as the images below SOURCE",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="report each file that is skipped, and why"
    )
    _add_engine_options(parser)
    add_analysis_options(parser, include=frozenset({Include.SCORES}))
    return parser


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local (default): processes on this machine; ray: Ray (extra cluster)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head node of the Ray cluster; default: start Ray on this machine",
    )
    group.add_argument(
        "--shard-size",
        type=positive,
        metavar="N",
        help="images per shard; a killed run repeats only the shards in progress; default: chosen "
        "from the number of images",
    )
    group.add_argument(
        "--stall-after",
        type=positive,
        default=_STALL_AFTER_S,
        metavar="SECONDS",
        help=f"report if Ray finishes no shard within this time; default {_STALL_AFTER_S}",
    )
