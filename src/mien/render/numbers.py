"""Numbers formatted for people."""

__all__ = ["format_count", "format_percent", "format_probability"]

_LARGEST_PROBABILITY = 1 - 1e-9


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 photo`` and ``1,200 photos``.

    Args:
        count: Number of things.
        noun: Their name in the singular.
    """
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def format_percent(share: float, decimals: int = 0) -> str:
    """Format a share in percent, without rounding to all or nothing.

    Args:
        share: 1 is everything.
        decimals: Digits after the decimal point.

    Returns:
        Such as ``94 %``. A share just below 1 is ``> 99 %`` and one just above 0 is ``< 1 %``; only
        1 is ``100 %`` and only 0 is ``0 %``.
    """
    rounded = f"{100 * share:.{decimals}f}"
    step = 10.0**-decimals
    if float(rounded) == 0 and share > 0:
        return f"< {step:.{decimals}f} %"
    if float(rounded) == 100 and share < 1:
        return f"> {100 - step:.{decimals}f} %"
    return f"{rounded} %"


def format_probability(probability: float, decimals: int = 0) -> str:
    """Format a probability in percent, never as certain.

    A float or a table may hold 0 or 1 where the probability was only close to it.

    Args:
        probability: 0 to 1.
        decimals: Digits after the decimal point.
    """
    clipped = min(max(probability, 1 - _LARGEST_PROBABILITY), _LARGEST_PROBABILITY)
    return format_percent(clipped, decimals)
