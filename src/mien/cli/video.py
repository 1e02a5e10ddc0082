"""``mien video``: who shows what, when, in a clip or before a camera."""

import argparse
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from itertools import takewhile
from pathlib import Path
from time import perf_counter

from PIL import Image
from tqdm import tqdm

from mien.batch.table import SUFFIXES, check_suffix, write_table
from mien.classify.labels import LabelSet
from mien.cli.annotations import encoded, write_new
from mien.cli.console import say
from mien.cli.options import add_analysis_options, positive, recognizer_arguments
from mien.errors import ImageError, InvalidParameterError, VideoError
from mien.options import Include
from mien.recognizer import Recognizer, in_order
from mien.render.timeline import draw_timeline
from mien.render.words import counted, percent
from mien.results import Cell, ImageResult, table_columns
from mien.video.analysis import DETECT_EVERY, PER_SECOND, Sample, followed, grouped, read_group
from mien.video.clip import Clip, ClipLimits, library, open_camera, open_clip
from mien.video.film import Film
from mien.video.summary import Summary
from mien.video.tracks import SMOOTHING_S, Tracker

__all__ = ["run"]

_CAMERA = "camera"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def run(arguments: Sequence[str]) -> int:
    """Write the table and what else is asked for; 1 if the clip can't be read, or not to its end.

    What was read of a damaged clip is kept; a table that can't be written to its end is not.
    Raises InvalidParameterError or ArtifactError before anything is written, and OSError.
    """
    options = _parser().parse_args(arguments)
    _check_places(options)
    library()
    recognizer = Recognizer(**recognizer_arguments(options))
    labels = recognizer.options.labels
    columns = ("time_s", "frame", "person", *table_columns(labels, options.include)[1:-2])
    summary, began = Summary(options.fps), perf_counter()
    unfinished = options.out.with_name(options.out.name + ".unfinished")
    try:
        with ExitStack() as stack:
            clip = stack.enter_context(_opened(options.clip))
            samples = stack.enter_context(closing(_samples(clip, recognizer, options)))
            film = options.annotate and stack.enter_context(Film(options.annotate, options.fps))
            seen = _noted(samples, clip, summary, film or None)
            rows = _rows(seen, labels, options.include)
            write_table(unfinished, options.out.suffix.lower(), columns, rows)
        unfinished.replace(options.out)
    except (VideoError, ImageError) as error:
        say(f"{options.clip}: {error.message}")
        return 1
    finally:
        unfinished.unlink(missing_ok=True)
    if options.plot:
        write_new(options.plot, encoded(_plot(summary), options.plot.suffix))
    for line in _words(summary, perf_counter() - began):
        say(line)
    if clip.cut_off:
        say(f"{options.clip}: the clip is damaged; what could be read of it is there")
    return 1 if clip.cut_off else 0


def _check_places(options: argparse.Namespace) -> None:
    """Raise InvalidParameterError for a file that exists, or that is not of a written kind."""
    check_suffix(options.out)
    for option, place, suffixes in (
        ("--out", options.out, SUFFIXES),
        ("--annotate", options.annotate, (".mp4",)),
        ("--plot", options.plot, _PICTURES),
    ):
        if place is None:
            continue
        if place.suffix.lower() not in suffixes:
            raise InvalidParameterError(f"{option}: {place} must be named {', '.join(suffixes)}")
        if place.exists():
            raise InvalidParameterError(f"{place} exists; choose another name or delete it")
        if not place.parent.is_dir():
            raise InvalidParameterError(f"{option}: there is no folder {place.parent}")


def _opened(source: str) -> AbstractContextManager[Clip]:
    name, _, number = source.partition(":")
    if name == _CAMERA and not Path(source).exists():
        if number and not number.isdigit():
            raise InvalidParameterError(f"{source}: a camera is camera, camera:1 and so on")
        return open_camera(int(number or 0))
    return open_clip(Path(source), ClipLimits())


def _samples(
    clip: Clip, recognizer: Recognizer, options: argparse.Namespace
) -> Generator[Sample, None, None]:
    """Yield the samples of a clip; groups of frames are read at once, by all cores."""
    frames = clip.frames(options.fps)
    if options.seconds:
        frames = takewhile(lambda frame: frame.time_s < options.seconds, frames)
    read = partial(read_group, recognizer, options=recognizer.options)
    groups = grouped(frames, options.detect_every)
    with closing(in_order(read, groups, threads=recognizer.threads)) as results:
        flat = (result for group in results for result in group)
        yield from followed(flat, Tracker(smoothing_s=options.smooth))


def _noted(
    samples: Iterable[Sample], clip: Clip, summary: Summary, film: Film | None
) -> Iterator[Sample]:
    """Pass the samples on; Ctrl-C ends them: before a camera there is no other end."""
    total = None if clip.duration_s is None else round(clip.duration_s, 1)
    with tqdm(total=total, unit=" s", file=sys.stderr, disable=None) as bar:
        try:
            for sample in samples:
                summary.add(sample)
                if film is not None:
                    film.add(sample)
                bar.update(min(summary.seconds, total or summary.seconds) - bar.n)
                yield sample
        except KeyboardInterrupt:
            say("stopped; what was seen until now is kept")


def _rows(
    samples: Iterable[Sample], labels: LabelSet, include: frozenset[Include]
) -> Iterator[dict[str, Cell]]:
    """Yield a row per face and sample, and one for a sample without a face."""
    for sample in samples:
        image = sample.frame.image
        faces = tuple(tracked.face for tracked in sample.faces)
        result = ImageResult(width=image.width, height=image.height, faces=faces)
        persons: list[int | None] = [tracked.person for tracked in sample.faces]
        for person, row in zip(persons or [None], result.to_rows(labels, include), strict=True):
            cells = dict(list(row.items())[1:-2])
            time_s = round(sample.frame.time_s, 3)
            yield {"time_s": time_s, "frame": sample.frame.index, "person": person, **cells}


def _plot(summary: Summary) -> Image.Image:
    persons = {
        f"person {number}": [(span.emotion, span.begin_s, span.end_s) for span in person.spans]
        for number, person in sorted(summary.persons.items())
    }
    return draw_timeline(persons, summary.seconds)


def _words(summary: Summary, seconds: float) -> Iterator[str]:
    yield (
        f"{summary.seconds:.1f} s, {counted(summary.samples, 'sample')}, "
        f"{counted(len(summary.persons), 'person')}; "
        f"{summary.seconds / max(seconds, 1e-9):.1f} times as fast as it lasts"
    )
    for number, person in sorted(summary.persons.items()):
        # Rounded first: a sum of times may come out a little less than all.
        shares = ", ".join(
            f"{emotion.value} {percent(round(share, 6))}"
            for emotion, share in person.shares().items()
        )
        begin, end = person.spans[0].begin_s, person.spans[-1].end_s
        yield f"  person {number}, {begin:.1f} to {end:.1f} s: {shares}"


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 60:
        raise argparse.ArgumentTypeError(f"expected a number from 0.01 to 60, got {text!r}")
    return rate


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien video",
        description="Follows the faces of a clip: a table with a row for each face and sample, who "
        "is who, and what each person shows, smoothed over time. Needs the extra video.",
        epilog="Exit status: 0 done, 1 the clip can't be read, or not to its end, or what it shows "
        "can't be written, 2 wrong usage.",
    )
    parser.add_argument(
        "clip",
        metavar="CLIP|CAMERA",
        help="MP4, QuickTime, Matroska, WebM or AVI file; or camera, camera:1, until Ctrl-C",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=f"the table: {', '.join(SUFFIXES)}"
    )
    parser.add_argument(
        "--annotate", type=Path, metavar="FILE", help="the samples as a clip with boxes, .mp4"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="a picture of who showed what when, .png"
    )
    parser.add_argument(
        "--fps",
        type=_rate,
        default=PER_SECOND,
        metavar="N",
        help=f"samples a second, default {PER_SECOND:g}",
    )
    parser.add_argument(
        "--detect-every",
        type=positive,
        default=DETECT_EVERY,
        metavar="N",
        help="look for new faces in every n-th sample, and between only where faces were; "
        f"default {DETECT_EVERY}",
    )
    parser.add_argument(
        "--smooth",
        type=_seconds,
        default=SMOOTHING_S,
        metavar="SECONDS",
        help=f"over how long emotions are smoothed, 0 for not at all; default {SMOOTHING_S:g}",
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help="only so much from the beginning"
    )
    add_analysis_options(parser, include=frozenset({Include.SCORES}))
    return parser
