"""What the service is to keep to under load, and whether what was measured does."""

from collections.abc import Mapping, Sequence

__all__ = ["LATENCY_LOAD", "latency", "soak"]

# Of an open loop at this part of the ceiling, p99 in unloaded medians.
LATENCY_LOAD, LATENCY_RATIO = 0.8, 5.0
# Of the resident memory after a tenth of the requests; until then caches and pools fill, once.
GROWTH = 0.05
WARM_UP = 10


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
    how many answers had each. The most memory on the way is told and is no goal: what a large
    picture takes goes when it is answered.
    """
    tenth = len(resident_mb) // WARM_UP
    first, most, last = resident_mb[tenth - 1], max(resident_mb[tenth - 1 :]), resident_mb[-1]
    failed = sum(count for status, count in statuses.items() if status >= 500)
    flat = last <= (1 + GROWTH) * first
    below = "at most" if most <= (1 + GROWTH) * first else "more than"
    lines = [
        f"{first:.0f} MB after a tenth",
        f"{most:.0f} MB at most since: {most / first - 1:+.1%}, {below} {GROWTH:.0%}",
        f"{last:.0f} MB at the end: {last / first - 1:+.1%}, goal at most {GROWTH:.0%}: "
        f"{_reached(flat)}",
        f"{failed} answers were a 5xx, goal 0: {_reached(not failed)}",
    ]
    return lines, flat and not failed


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"
