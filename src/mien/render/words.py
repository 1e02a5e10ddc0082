"""Numbers in words for people."""

__all__ = ["chance", "counted", "percent"]

_NEARLY_SURE = 1 - 1e-9


def counted(count: int, noun: str) -> str:
    """Return a number of things, such as ``1 photo`` and ``1,200 photos``."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def percent(share: float, decimals: int = 0) -> str:
    """Return a share in percent: ``100 %`` is all and ``0 %`` nothing, never what rounds to it.

    What does is ``> 99 %`` or ``< 1 %``.
    """
    rounded = f"{100 * share:.{decimals}f}"
    step = 10.0**-decimals
    if float(rounded) == 0 and share > 0:
        return f"< {step:.{decimals}f} %"
    if float(rounded) == 100 and share < 1:
        return f"> {100 - step:.{decimals}f} %"
    return f"{rounded} %"


def chance(probability: float, decimals: int = 0) -> str:
    """Return a probability in percent: never certain, though a float or a table may hold 0 or 1."""
    return percent(min(max(probability, 1 - _NEARLY_SURE), _NEARLY_SURE), decimals)
