"""The parser of every command, and the types of its arguments."""

import argparse
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["Parser", "decimal", "new_file", "positive", "whole"]

_MOST_DIGITS = 18


class Parser(argparse.ArgumentParser):
    """A parser that accepts only full option names, so that new options break no scripts."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, **keywords)


def whole(text: str, least: int = 0) -> int:
    """Return a whole number of at least ``least``, for argparse."""
    # Python raises ValueError for thousands of digits.
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")


positive = partial(whole, least=1)


def decimal(text: str, least: float, most: float) -> float:
    """Return a number from ``least`` to ``most``, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
    return number


def new_file(text: str, suffixes: Collection[str]) -> Path:
    """Return the path of a file that does not exist, for argparse."""
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise argparse.ArgumentTypeError(f"{path} must end in {', '.join(suffixes)}")
    try:
        if path.exists():
            raise argparse.ArgumentTypeError(f"{path} exists; choose another name or delete it")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"the folder {path.parent} does not exist")
    except OSError as error:  # such as a name that is too long
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from error
    return path
