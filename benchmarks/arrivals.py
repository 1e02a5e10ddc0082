"""Arrival times of requests in an open loop."""

import random
from collections.abc import Iterator
from typing import Literal

__all__ = ["LOOP_S", "Arrivals", "due_times"]

# Default length of a loop. Two loops of the same length have the same bursts.
LOOP_S = 60.0

# At equal intervals, or like independent clients.
Arrivals = Literal["constant", "poisson"]


def due_times(per_s: float, seconds: float, arrivals: Arrivals) -> Iterator[float]:
    """Yield arrival times in seconds from the first request, the same in each call.

    Args:
        per_s: Mean requests per second.
        seconds: Length of the loop.
        arrivals: Their distribution.
    """
    generator = random.Random(0)
    at_s = 0.0
    while at_s < seconds:
        yield at_s
        at_s += generator.expovariate(per_s) if arrivals == "poisson" else 1 / per_s
