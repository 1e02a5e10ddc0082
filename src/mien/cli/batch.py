"""``mien batch``: thousands of photos into one table, with all cores; can be stopped any time."""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from mien.batch.storage import is_uri
from mien.batch.table import SUFFIXES, check_suffix
from mien.cli.console import say
from mien.cli.engines import MAX_SHARD_SIZE, Run, locally, on_ray
from mien.cli.options import add_analysis_options, positive, recognizer_arguments
from mien.cli.work import Copies, PhotoJob
from mien.options import Include
from mien.recognizer import Recognizer
from mien.render.numbers import format_count, format_percent
from mien.results import table_columns

__all__ = ["run"]

_STALL_AFTER_S = 600


def run(arguments: Sequence[str]) -> int:
    """Write the table; 1 if some photos failed. Raises InvalidParameterError or ArtifactError."""
    options = _parser().parse_args(arguments)
    asked = _run_of(options)
    began = perf_counter()
    try:
        worked = on_ray(asked) if options.engine == "ray" else locally(asked)
    except KeyboardInterrupt:
        resume = [] if options.resume else ["--resume"]
        say(f"stopped; go on with: mien batch {shlex.join([*arguments, *resume])}")
        raise
    if not worked:
        say(f"{options.out} is there already: nothing to do")
        return 0
    for line in _summary(asked, perf_counter() - began):
        say(line)
    return 1 if asked.tally.failed else 0


def _run_of(options: argparse.Namespace) -> Run:
    table = _table_of(options.out) if options.engine == "ray" else Path(options.out)
    if table:
        check_suffix(table)
    arguments = recognizer_arguments(options)
    # Here too, so that a bad model is reported before any process starts.
    Recognizer(**arguments)
    copies = Copies.of(options.annotate, options.source) if options.annotate else None
    return Run(
        source=options.source,
        out=options.out,
        table=table,
        resume=options.resume,
        job=PhotoJob(arguments, options.include, copies),
        columns=table_columns(options.labels, options.include),
        asked=_asked(options, arguments),
        threads=options.threads,
        address=options.address,
        shard_size=options.shard_size,
        stall_after_s=options.stall_after,
    )


def _table_of(out: str) -> Path | None:
    """Return the file that was asked for; None for a folder, here or in an object store."""
    return None if is_uri(out) or not Path(out).suffix else Path(out)


def _summary(run: Run, seconds: float) -> Iterator[str]:
    """Yield words for people. seconds: that the run took."""
    tally, faces = run.tally, run.tally.emotions.total()
    earlier = f", {run.skipped:,} done before" if run.skipped else ""
    busy = tally.seconds / max(seconds * run.cores, 1e-9)
    yield (
        f"{format_count(tally.photos, 'photo')}, {format_count(faces, 'face')}, "
        f"{tally.failed:,} failed{earlier}; "
        f"{tally.photos / max(seconds, 1e-9):.1f} a second; "
        f"inference took {format_percent(busy)} of {format_count(run.cores, 'core')}"
    )
    for emotion, count in tally.emotions.most_common():
        yield f"  {emotion:<8} {count:>7}  {format_percent(count / faces, 1):>8}"


def _asked(options: argparse.Namespace, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what must be the same for a run to go on."""
    same = {name: str(value) for name, value in arguments.items() if name != "threads"}
    return {"source": options.source, **same}


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
        ".parquet with a column path or uri, .txt with a path a line. Folders, manifests and what "
        "these list may be URIs, such as s3://bucket/photos",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"the table: {', '.join(SUFFIXES)} (Parquet needs the extra batch); with the engine "
        "ray also a folder or its URI, which gets a Parquet file a shard",
    )
    parser.add_argument("--resume", action="store_true", help="go on where a run was stopped")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR",
        help="put labelled copies here, lying as the photos do under SOURCE, a manifest's folder "
        "or a glob's fixed part; _up stands for the folder above",
    )
    _add_engines(parser)
    add_analysis_options(parser, include=frozenset({Include.SCORES}))
    return parser


def _add_engines(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engines")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="what works: processes here (default), or Ray (extra cluster), here or on a cluster",
    )
    group.add_argument(
        "--address", metavar="HOST:PORT", help="Ray's cluster; default: one of its own, here"
    )
    group.add_argument(
        "--shard-size",
        type=positive,
        metavar="N",
        help=f"photos that Ray hands out at once; default: at most {MAX_SHARD_SIZE}",
    )
    group.add_argument(
        "--stall-after",
        type=positive,
        default=_STALL_AFTER_S,
        metavar="SECONDS",
        help=f"say so if Ray has done no shard for so long; default {_STALL_AFTER_S}",
    )
