"""How much the service takes on, and what happens when it is asked for more.

    make bench-service PHOTOS=FOLDER

Photos are the JPEG files below the folder, sent as forms. First the reference server (FastAPI that
calls facenet-pytorch and Keras in its handler) and ``mien serve``, both with their default
settings and all cores, answer closed loops of more and more callers: the most answers a second is
the ceiling, one caller's median the unloaded time. Then requests come at a fixed part of the
ceiling, open loop, each timed from when it was due (benchmarks/load.py). The load generator runs
on the same cores.
"""

import argparse
import asyncio
import statistics
from pathlib import Path
from typing import get_args

from benchmarks import goals
from benchmarks.arrivals import LOOP_S, Arrivals
from benchmarks.load import Report, closed_loop, form_of, open_loop
from benchmarks.serving import Server, mien_server, photos_in, reference_server

CALLERS = (1, 2, 4, 8)
REFERENCE_CALLERS = (1,)
WARM_UP_PHOTOS = 8
LOADS = (0.5, goals.LATENCY_LOAD, 1.2)


def main() -> None:
    arguments = _parser().parse_args()
    photos = [form_of(photo) for photo in photos_in(arguments.photos)]
    kilobytes = statistics.mean(map(len, photos)) / 1e3
    print(f"{len(photos)} photos, {kilobytes:.0f} kB on average")
    reference = 0.0
    if arguments.reference:
        with reference_server(arguments.reference) as server:
            reference = ceiling(server, photos, REFERENCE_CALLERS, arguments.closed_s)[0]
    with mien_server("--workers", str(arguments.workers)) as server:
        most, unloaded = ceiling(server, photos, CALLERS, arguments.closed_s)
        if reference:
            print(f"  {most / reference:.1f} times the reference")
        for arrivals in arguments.arrivals:
            print(
                f"\n{server.name}, open loop, {arrivals} arrivals, {arguments.seconds:.0f} s each"
            )
            for load in LOADS:
                requests = open_loop(
                    f"{server.address}/emotion",
                    photos,
                    per_s=load * most,
                    seconds=arguments.seconds,
                    arrivals=arrivals,
                )
                with server.seeing_others():
                    report = asyncio.run(requests)
                ratio = report.milliseconds(99) / unloaded.milliseconds(50)
                print(f"  {load:.0%}: {report}; {goals.latency(load, ratio)}", flush=True)
            print(f"  {server.resident_mb:.0f} MB")


def ceiling(
    server: Server, photos: list[bytes], callers: tuple[int, ...], seconds: float
) -> tuple[float, Report]:
    """Print a closed loop for each number of callers.

    Returns the most answers a second, and what one caller got.
    """
    print(f"\n{server.name}, closed loop")
    path = f"{server.address}/emotion"
    # Not counted: what only first answers need.
    asyncio.run(closed_loop(path, photos[:WARM_UP_PHOTOS], callers=1, seconds=0))
    reports = []
    for count in callers:
        with server.seeing_others():
            reports.append(asyncio.run(closed_loop(path, photos, callers=count, seconds=seconds)))
        print(f"  {count} callers: {reports[-1]}", flush=True)
    if reports[0].besides.get_total_count():
        besides_ms = reports[0].besides.get_value_at_percentile(50) / 1e3
        print(f"  of one caller's median {besides_ms:.1f} ms besides decode, detect and classify")
    print(f"  {server.resident_mb:.0f} MB")
    return max(report.answers_per_s for report in reports), reports[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with JPEG files")
    parser.add_argument("--reference", metavar="PYTHON", help="of its environment; default: none")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=LOOP_S, help="of each open loop")
    parser.add_argument("--closed-s", type=float, default=10, help="of each closed loop, at least")
    parser.add_argument(
        "--arrivals",
        nargs="*",
        choices=get_args(Arrivals),
        default=["constant"],
        help="evenly, or as independent callers come",
    )
    return parser


if __name__ == "__main__":
    main()
