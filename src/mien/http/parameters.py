"""Query parameters: known names only, each once, each in its range."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from mien.classify.labels import LabelSet
from mien.errors import InvalidParameterError
from mien.pipeline import Options
from mien.render.json import Include

__all__ = ["MIN_FACE_SIZE_PX", "Wanted", "parse_wanted"]

# The smallest window that the first network of the detector looks at.
MIN_FACE_SIZE_PX = 12
# More digits than any sensible number; longer ones would only cost time.
MAX_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: options of the pipeline, and optional keys of the answer."""

    options: Options
    include: frozenset[Include]


def parse_wanted(query: QueryParams) -> Wanted:
    """Return what the query asks for.

    Raises InvalidParameterError naming the parameter that is unknown, repeated or out of range.
    """
    include: set[Include] = set()
    single: dict[str, Any] = {}
    for name, text in query.multi_items():
        if name == "include":
            include |= _include(text)
        elif name not in _PARSERS:
            known = ", ".join(sorted([*_PARSERS, "include"]))
            raise InvalidParameterError(f"Unknown parameter {name[:40]!r}; there are {known}.")
        elif name in single:
            raise InvalidParameterError(f"The parameter {name!r} is given twice.")
        else:
            single[name] = _PARSERS[name](name, text)
    return Wanted(Options(**single), frozenset(include))


def _include(text: str) -> set[Include]:
    try:
        return {Include(part) for part in text.split(",")}
    except ValueError as error:
        known = ", ".join(Include)
        raise InvalidParameterError(f"include takes a list of {known}.") from error


def _labels(name: str, text: str) -> LabelSet:
    try:
        return LabelSet(text)
    except ValueError as error:
        raise InvalidParameterError(f"{name} must be one of {', '.join(LabelSet)}.") from error


def _strict_bool(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise InvalidParameterError(f"{name} must be true or false.")
    return text == "true"


def _at_least(least: int) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if not is_number or int(text) < least:
            raise InvalidParameterError(f"{name} must be a whole number of at least {least}.")
        return int(text)

    return parse


_PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "labels": _labels,
    "max_faces": _at_least(1),
    "min_face_size": _at_least(MIN_FACE_SIZE_PX),
    "crop": _strict_bool,
}
