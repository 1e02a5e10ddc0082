"""When requests of an open loop are due."""

import random
from collections.abc import Iterator
from typing import Literal

__all__ = ["LOOP_S", "Arrivals", "due_times"]

# How long a loop is. Of two of the same length the bursts are the same; another has others.
LOOP_S = 60.0

# Evenly, or as independent callers come.
Arrivals = Literal["constant", "poisson"]


def due_times(per_s: float, seconds: float, arrivals: Arrivals) -> Iterator[float]:
    """Yield when requests are due, in seconds from the first one, the same each time."""
    chance = random.Random(0)
    at_s = 0.0
    while at_s < seconds:
        yield at_s
        at_s += chance.expovariate(per_s) if arrivals == "poisson" else 1 / per_s
