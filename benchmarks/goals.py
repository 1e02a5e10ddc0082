"""What the service is to keep to under load, and whether what was measured does."""

from collections.abc import Mapping, Sequence
from statistics import median

__all__ = ["LATENCY_LOAD", "latency", "soak"]

# Of an open loop at this part of the ceiling, p99 in unloaded medians.
LATENCY_LOAD, LATENCY_RATIO = 0.8, 5.0
# Of the resident memory from the second tenth of the requests on; in the first, caches and pools
# fill, once.
GROWTH = 0.05
PARTS = 10


def latency(load: float, ratio: float) -> str:
    """Return words for an open loop's p99; where there is a goal, also whether it is reached.

    load: part of the ceiling; ratio: p99 in unloaded medians.
    """
    words = f"p99 is {ratio:.1f} times unloaded p50"
    if load != LATENCY_LOAD:
        return words
    return f"{words}, goal at most {LATENCY_RATIO:.0f}: {_reached(ratio <= LATENCY_RATIO)}"


def soak(resident_mb: Sequence[float], statuses: Mapping[int, int]) -> tuple[list[str], bool]:
    """Return lines for people, and whether the goals are reached.

    resident_mb: at equal steps from the first requests to the last, ten steps at least; statuses:
    how many answers had each. Medians, since what a picture takes goes when it is answered; so the
    most on the way is told and is no goal.
    """
    part = len(resident_mb) // PARTS
    first, last = median(resident_mb[part : 2 * part]), median(resident_mb[-part:])
    most = max(resident_mb[part:])
    failed = sum(count for status, count in statuses.items() if status >= 500)
    flat = last <= (1 + GROWTH) * first
    lines = [
        f"{first:.0f} MB in the second tenth, {last:.0f} MB in the last: {last / first - 1:+.1%}, "
        f"goal at most {GROWTH:.0%}: {_reached(flat)}",
        f"{most:.0f} MB at most since the first tenth",
        f"{failed} answers were a 5xx, goal 0: {_reached(not failed)}",
    ]
    return lines, flat and not failed


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"
