"""Goals of the service under load, and whether measurements meet them."""

from collections.abc import Mapping, Sequence
from statistics import median

__all__ = ["LATENCY_LOAD", "latency", "soak"]

# In an open loop at this share of the maximum throughput, p99 as a multiple of the unloaded median.
LATENCY_LOAD, LATENCY_RATIO = 0.8, 4.0
# Growth of resident memory from the second tenth of the requests on. In the first tenth caches and
# pools are filled.
GROWTH = 0.05
PARTS = 10


def latency(load: float, ratio: float) -> str:
    """Describe the p99 of an open loop and, if there is a goal for its load, whether it is met.

    Args:
        load: Share of the maximum throughput.
        ratio: p99 as a multiple of the unloaded median.
    """
    text = f"p99 is {ratio:.1f} times unloaded p50"
    if load != LATENCY_LOAD:
        return text
    return f"{text}, goal at most {LATENCY_RATIO:.0f}: {_reached(ratio <= LATENCY_RATIO)}"


def soak(resident_mb: Sequence[float], statuses: Mapping[int, int]) -> tuple[list[str], bool]:
    """Describe a soak test.

    Medians are compared, because memory of a single image is freed after its response. The maximum
    is reported, but there is no goal for it.

    Args:
        resident_mb: Resident memory at ten or more equal steps from the first to the last request.
        statuses: Number of responses by status.

    Returns:
        Lines for people, and whether the goals are met.
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
        f"{failed} responses had a 5xx status, goal 0: {_reached(not failed)}",
    ]
    return lines, flat and not failed


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"
