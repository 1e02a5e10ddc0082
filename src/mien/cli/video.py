"""``mien video``: track the emotions of each person in a video or camera stream."""

import argparse
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from itertools import takewhile
from pathlib import Path
from time import perf_counter

from PIL import Image
from tqdm import tqdm

from mien.batch.source import IMAGE_SUFFIXES
from mien.batch.storage import is_uri
from mien.batch.table import SUFFIXES, format_of, write_table
from mien.classify.labels import LabelSet
from mien.cli.console import say
from mien.cli.options import add_analysis_options, recognizer_arguments
from mien.cli.parser import Parser, decimal, new_file
from mien.cli.termination import cleaning_up
from mien.errors import ImageError, InvalidParameterError, UnreadableFileError, VideoError
from mien.files import complete_file, write_new
from mien.image.encode import encoded
from mien.in_order import in_order
from mien.options import Include
from mien.parent import interrupt_held
from mien.recognizer import Recognizer
from mien.render.numbers import format_count, format_percent
from mien.render.timeline import draw_timeline
from mien.results import VIDEO_COLUMNS, Cell, ImageResult, table_columns
from mien.video.annotated import AnnotatedVideo, annotated_video
from mien.video.reader import Frame, VideoLimits, VideoReader, library, open_camera, open_video
from mien.video.summary import Summary
from mien.video.tracks import PER_SECOND, SMOOTHING_S, Sample, Tracker, followed

__all__ = ["run"]

_CAMERA = "camera"


def run(arguments: Sequence[str]) -> int:
    """Write the table and the other requested outputs.

    Results of a damaged video are kept up to the damage. Errors while writing, SIGTERM and SIGHUP
    leave no partial file.

    Returns:
        0, or 1 if the video can't be read, or not to its end.

    Raises:
        InvalidParameterError: An option is wrong; nothing is written.
        ArtifactError: A model can't be loaded; nothing is written.
        OSError: An output can't be written.
    """
    options = _parser().parse_args(arguments)
    if not (options.out or options.annotate or options.plot):
        raise InvalidParameterError("give at least one output: --out, --annotate or --plot")
    if options.out:
        format_of(options.out)
    library()
    recognizer = Recognizer(**recognizer_arguments(options))
    labels = recognizer.options.labels
    summary, began = Summary(options.fps), perf_counter()
    try:
        with cleaning_up(), ExitStack() as stack:
            video = stack.enter_context(_opened(options.video, recognizer))
            samples = stack.enter_context(closing(_samples(video, recognizer, options)))
            _write(samples, video, summary, labels, options)
    except (VideoError, ImageError) as error:
        is_photo = Path(options.video).suffix.lower() in IMAGE_SUFFIXES
        hint = "; mien analyze analyzes photos" if is_photo else ""
        say(f"{options.video}: {error.message}{hint}")
        return 1
    if options.plot:
        write_new(options.plot, encoded(_plot(summary), ".png"))
    for line in _report(summary, video, perf_counter() - began):
        say(line)
    for path in filter(None, (options.out, options.annotate, options.plot)):
        say(f"wrote {path}")
    if video.cut_off:
        say(f"{options.video}: the video is damaged or incomplete; the results end there")
    return 1 if video.cut_off else 0


def _write(
    samples: Iterable[Sample],
    video: VideoReader,
    summary: Summary,
    labels: LabelSet,
    options: argparse.Namespace,
) -> None:
    """Go through the samples, adding each to the summary and to the requested files."""
    with ExitStack() as stack:
        table = options.out and stack.enter_context(complete_file(options.out))
        copy = options.annotate and stack.enter_context(
            annotated_video(options.annotate, options.fps)
        )
        rows = _rows(_recorded(samples, video, summary, copy), labels, options.include)
        if table:
            columns = (*VIDEO_COLUMNS, *table_columns(labels, options.include)[1:-2])
            write_table(table, options.out.suffix.lower(), columns, rows)
        else:
            deque(rows, maxlen=0)


def _opened(source: str, recognizer: Recognizer) -> AbstractContextManager[VideoReader]:
    name, _, number = source.partition(":")
    if name == _CAMERA and not Path(source).exists():
        if number and not number.isdigit():
            raise InvalidParameterError(f"{source}: name a camera as camera, camera:1 and so on")
        return open_camera(int(number or 0))
    if is_uri(source):
        raise UnreadableFileError("videos are not downloaded or streamed; give the path of a file")
    return open_video(Path(source), VideoLimits(pixels=recognizer.max_pixels))


def _samples(
    video: VideoReader, recognizer: Recognizer, options: argparse.Namespace
) -> Generator[Sample, None, None]:
    """Yield the samples of a video; several frames are analyzed in parallel."""
    frames = video.frames(options.fps)
    if options.seconds:
        frames = takewhile(lambda frame: frame.time_s < options.seconds, frames)

    def analyzed(frame: Frame) -> tuple[Frame, ImageResult]:
        return frame, recognizer.analyze(frame.image)

    with closing(in_order(analyzed, frames, threads=recognizer.threads)) as results:
        yield from followed(results, Tracker(smoothing_s=options.smooth))


def _recorded(
    samples: Iterable[Sample], video: VideoReader, summary: Summary, copy: AnnotatedVideo | None
) -> Iterator[Sample]:
    """Yield the samples until Ctrl-C, the only way to stop a camera."""
    total = None if video.duration_s is None else round(video.duration_s, 1)
    with tqdm(total=total, unit=" s", file=sys.stderr, disable=None) as bar:
        try:
            for sample in samples:
                # Until its rows are written.
                with interrupt_held():
                    summary.add(sample)
                    if copy is not None:
                        copy.add(sample)
                    bar.update(min(summary.seconds, total or summary.seconds) - bar.n)
                    yield sample
        except KeyboardInterrupt:
            if not summary.samples:
                raise
            say("stopped; the results up to here are kept")


def _rows(
    samples: Iterable[Sample], labels: LabelSet, include: frozenset[Include]
) -> Iterator[dict[str, Cell]]:
    """Yield a row per face and sample, and one for a sample without a face."""
    for sample in samples:
        image = sample.frame.image
        faces = tuple(tracked.face for tracked in sample.faces)
        result = ImageResult(width=image.width, height=image.height, turn=sample.turn, faces=faces)
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


def _report(summary: Summary, video: VideoReader, seconds: float) -> Iterator[str]:
    """Yield lines for the user. seconds: how long the analysis took."""
    yield (
        f"{summary.seconds:.1f} s, {format_count(summary.samples, 'sample')}, "
        f"{format_count(len(summary.persons), 'person')}; "
        f"{summary.seconds / max(seconds, 1e-9):.1f} times real time"
    )
    if video.dropped_frames:
        yield (
            f"{format_count(video.dropped_frames, 'frame')} dropped: damaged, out of order or with "
            "a repeated timestamp"
        )
    for number, person in sorted(summary.persons.items()):
        # Rounded first: a sum of times may be a little less than all.
        shares = ", ".join(
            f"{emotion.value} {format_percent(round(share, 6))}"
            for emotion, share in person.shares().items()
        )
        begin, end = person.spans[0].begin_s, person.spans[-1].end_s
        yield f"  person {number}, {begin:.1f} to {end:.1f} s: {shares}"


def _parser() -> Parser:
    parser = Parser(
        prog="mien video",
        description="Track faces in a video or camera stream. Give at least one of --out, "
        "--annotate and --plot. Needs: pip install 'mien[video]'.",
        epilog="Exit status: 0 success, 1 the video cannot be read to its end or an output cannot "
        "be written, 2 wrong usage.",
    )
    parser.add_argument(
        "video",
        metavar="VIDEO|CAMERA",
        help="MP4, QuickTime, 3GP, Matroska, WebM, AVI, MPEG-TS, FLV or animated GIF file; or "
        "camera, camera:1 and so on for a camera, which is read until Ctrl-C",
    )
    outputs = parser.add_argument_group("outputs")
    for option, suffixes, about in (
        ("--out", SUFFIXES, "a table with a row for each face of each sample"),
        ("--annotate", (".mp4",), "a video of the samples with labeled boxes"),
        ("--plot", (".png",), "a timeline with a row for each person"),
    ):
        outputs.add_argument(
            option,
            type=partial(new_file, suffixes=suffixes),
            metavar="FILE",
            help=f"{about}: {', '.join(suffixes)}",
        )
    parser.add_argument(
        "--fps",
        type=partial(decimal, least=0.01, most=60),
        default=PER_SECOND,
        metavar="N",
        help=f"frames to analyze per second, called samples; default {PER_SECOND:g}",
    )
    parser.add_argument(
        "--smooth",
        type=partial(decimal, least=0, most=1_000_000),
        default=SMOOTHING_S,
        metavar="SECONDS",
        help=f"time constant for smoothing emotions, 0 for none; default {SMOOTHING_S:g}",
    )
    parser.add_argument(
        "--seconds",
        type=partial(decimal, least=0.001, most=1_000_000),
        metavar="N",
        help="analyze only the first N seconds; default: all",
    )
    add_analysis_options(parser, include=frozenset({Include.SCORES}))
    return parser
