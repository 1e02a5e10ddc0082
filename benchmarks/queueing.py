"""Latency of an ideal server under load, which is limited by its cores only.

    python -m benchmarks.queueing PHOTOS [--cores 8]

Each photo is timed alone, on one thread. Then a server without any overhead is simulated: it
processes photos in the order of arrival, as many at once as it has cores, each as fast as alone.
Requests arrive at a share of its maximum throughput, at equal intervals or in bursts like those of
independent clients. The result is a lower bound for ``make bench-service``, which measures the real
server, by default over the same time and therefore with the same bursts.
"""

import argparse
import heapq
import itertools
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import mien
from benchmarks import goals
from benchmarks.arrivals import LOOP_S, Arrivals, due_times
from benchmarks.servers import photos_in
from mien.cores import available_cores

LOADS = (0.5, goals.LATENCY_LOAD)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with JPEG files")
    parser.add_argument("--cores", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=LOOP_S, help="length of the simulation")
    arguments = parser.parse_args()
    took_s = seconds_alone(photos_in(arguments.photos), arguments.rounds)
    unloaded_ms = statistics.median(took_s) * 1e3
    print(f"{len(took_s)} photos, alone: p50 {unloaded_ms:.0f} max {max(took_s) * 1e3:.0f} ms")
    ceiling_per_s = arguments.cores / statistics.mean(took_s)
    for arrivals in get_args(Arrivals):
        print(f"{arguments.cores} cores, ceiling {ceiling_per_s:.0f}/s, {arrivals} arrivals")
        for load in LOADS:
            answers_s = queued(took_s, arguments.cores, load, arguments.seconds, arrivals)
            hundredths = statistics.quantiles(answers_s, n=100)
            times = " ".join(f"p{p} {hundredths[p - 1] * 1e3:.0f}" for p in (50, 95, 99))
            ratio = hundredths[98] * 1e3 / unloaded_ms
            print(f"  {load:.0%}: {times} ms; {goals.latency(load, ratio)}")


def seconds_alone(photos: Sequence[bytes], rounds: int) -> list[float]:
    """Return the median time of each photo."""
    recognizer = mien.Recognizer()
    took_s: list[list[float]] = [[] for _ in photos]
    for _ in range(rounds):
        for photo, times in zip(photos, took_s, strict=True):
            began = time.perf_counter()
            recognizer.analyze(photo)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took_s]


def queued(
    took_s: Sequence[float], cores: int, load: float, seconds: float, arrivals: Arrivals
) -> list[float]:
    """Simulate a queue with several cores.

    Args:
        took_s: Processing times of the photos, in seconds.
        cores: Number of cores.
        load: Share of the maximum throughput.
        seconds: Length of the simulation.
        arrivals: Distribution of arrivals.

    Returns:
        Response times in seconds.
    """
    free_s, answers_s = [0.0] * cores, []
    due = due_times(load * cores / statistics.mean(took_s), seconds, arrivals)
    for at_s, each_s in zip(due, itertools.cycle(took_s), strict=False):
        done_s = max(at_s, heapq.heappop(free_s)) + each_s
        heapq.heappush(free_s, done_s)
        answers_s.append(done_s - at_s)
    return answers_s


if __name__ == "__main__":
    main()
