"""Throughput and latency of the service, up to and beyond its maximum load.

    make bench-service PHOTOS=FOLDER

Photos are the JPEG files below the folder, sent as forms. First the baseline server (FastAPI that
calls facenet-pytorch and Keras in its handler) and ``mien serve``, both with their default settings
and all cores, are measured in closed loops with more and more clients. The highest throughput is
the ceiling, the median with one client the unloaded time. Then requests are sent in open loops at
fixed shares of the ceiling, each timed from its scheduled time (benchmarks/load.py). The load
generator runs on the same cores.
"""

import argparse
import asyncio
import statistics
from pathlib import Path
from typing import get_args

from benchmarks import goals
from benchmarks.arrivals import LOOP_S, Arrivals
from benchmarks.load import Report, closed_loop, form_of, open_loop
from benchmarks.servers import Server, mien_server, photos_in, reference_server

CLIENTS = (1, 2, 4, 8)
BASELINE_CLIENTS = (1,)
WARM_UP_PHOTOS = 8
LOADS = (0.5, goals.LATENCY_LOAD, 1.2)


def main() -> None:
    arguments = _parser().parse_args()
    photos = [form_of(photo) for photo in photos_in(arguments.photos)]
    kilobytes = statistics.mean(map(len, photos)) / 1e3
    print(f"{len(photos)} photos, {kilobytes:.0f} kB on average")
    baseline = 0.0
    if arguments.reference:
        with reference_server(arguments.reference) as server:
            baseline = ceiling(server, photos, BASELINE_CLIENTS, arguments.closed_s)[0]
    with mien_server("--workers", str(arguments.workers)) as server:
        most, unloaded = ceiling(server, photos, CLIENTS, arguments.closed_s)
        if baseline:
            print(f"  {most / baseline:.1f} times the baseline")
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
    server: Server, photos: list[bytes], clients: tuple[int, ...], seconds: float
) -> tuple[float, Report]:
    """Run and print a closed loop for each number of clients.

    Returns:
        The highest throughput in responses per second, and the report of the first loop.
    """
    print(f"\n{server.name}, closed loop")
    path = f"{server.address}/emotion"
    # Warm up, not counted.
    asyncio.run(closed_loop(path, photos[:WARM_UP_PHOTOS], clients=1, seconds=0))
    reports = []
    for count in clients:
        with server.seeing_others():
            reports.append(asyncio.run(closed_loop(path, photos, clients=count, seconds=seconds)))
        print(f"  {count} clients: {reports[-1]}", flush=True)
    if reports[0].overhead.get_total_count():
        overhead_ms = reports[0].overhead.get_value_at_percentile(50) / 1e3
        print(f"  with one client, median overhead outside of the stages {overhead_ms:.1f} ms")
    print(f"  {server.resident_mb:.0f} MB")
    return max(report.responses_per_s for report in reports), reports[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with JPEG files")
    parser.add_argument(
        "--reference",
        metavar="PYTHON",
        help="interpreter of the baseline's environment; default: do not measure it",
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=LOOP_S, help="length of each open loop")
    parser.add_argument(
        "--closed-s", type=float, default=10, help="minimum length of each closed loop"
    )
    parser.add_argument(
        "--arrivals",
        nargs="*",
        choices=get_args(Arrivals),
        default=["constant"],
        help="at equal intervals, or like independent clients",
    )
    return parser


if __name__ == "__main__":
    main()
