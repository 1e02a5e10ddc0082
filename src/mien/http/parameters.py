"""Query parameters, read strictly: what is unknown, repeated or out of range is refused."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from mien.classify.labels import LabelSet
from mien.detect import MIN_FACE_SIZE_PX
from mien.errors import InvalidParameterError
from mien.options import Include, Options

__all__ = [
    "MAX_NUMBER",
    "Query",
    "boolean",
    "decimal",
    "parse_query",
    "refuse_parameters",
    "shown",
    "whole",
]

MAX_NUMBER = 1_000_000
_MAX_FIELDS = 32
_SHOWN_CHARS = 40
# Written by hand: int() and float() take more, such as digits of other scripts, nan, 1e3 and 1_0.
_WHOLE = re.compile("[0-9]{1,7}")
_DECIMAL = re.compile(r"[0-9]{1,7}(\.[0-9]{1,7})?")
_KNOWN = frozenset({"labels", "max_faces", "min_face_size", "crop"})

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks for: how to look, which optional keys to tell, and more, unparsed."""

    options: Options
    include: frozenset[Include]
    more: Mapping[str, str]


def parse_query(query_string: bytes, *, more: Collection[str] = ()) -> Query:
    """Return the parameters of a request for emotions.

    more: names of further parameters that this request may have.
    Raises InvalidParameterError naming the parameter that is unknown, repeated or out of range.
    """
    include: list[str] = []
    single: dict[str, str] = {}
    for name, value in _pairs(query_string):
        if name == "include":
            include.extend(value.split(","))
        elif name not in _KNOWN and name not in more:
            raise InvalidParameterError(f"there is no parameter {shown(name)}")
        elif name in single:
            raise InvalidParameterError(f"{name} may be given only once")
        else:
            single[name] = value
    options = Options(
        labels=_choice("labels", single.get("labels", LabelSet.SIX.value), LabelSet),
        max_faces=_optional("max_faces", single.get("max_faces"), least=1),
        min_face_size=_optional("min_face_size", single.get("min_face_size"), MIN_FACE_SIZE_PX),
        crop=boolean("crop", single.get("crop", "false")),
    )
    return Query(
        options,
        frozenset(_choice("include", item, Include) for item in include),
        {name: single[name] for name in more if name in single},
    )


def refuse_parameters(query_string: bytes) -> None:
    """Raise InvalidParameterError if there are any, for paths that take none."""
    for name, _ in _pairs(query_string):
        raise InvalidParameterError(f"there is no parameter {shown(name)}")


def shown(text: str) -> str:
    """Return a caller's text quoted, and cut where it is long, to be said back."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise InvalidParameterError(f"more than {_MAX_FIELDS} parameters") from error


def _choice(name: str, text: str, kind: type[_Choice]) -> _Choice:
    values: Iterable[_Choice] = kind
    for choice in values:
        if choice.value == text:
            return choice
    known = ", ".join(choice.value for choice in kind)
    raise InvalidParameterError(f"{name} must be one of {known}, not {shown(text)}")


def _optional(name: str, text: str | None, least: int) -> int | None:
    return None if text is None else whole(name, text, least)


def whole(name: str, text: str, least: int, most: int = MAX_NUMBER) -> int:
    """Return a whole number in that range. Raises InvalidParameterError for anything else."""
    if _WHOLE.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    raise InvalidParameterError(
        f"{name} must be a whole number from {least} to {most}, not {shown(text)}"
    )


def decimal(name: str, text: str, least: float, most: float) -> float:
    """Return a number in that range. Raises InvalidParameterError for anything else."""
    if _DECIMAL.fullmatch(text) and least <= float(text) <= most:
        return float(text)
    raise InvalidParameterError(
        f"{name} must be a number from {least:g} to {most:g}, not {shown(text)}"
    )


def boolean(name: str, text: str) -> bool:
    """Return a strict truth value. Raises InvalidParameterError for anything else."""
    if text not in ("true", "false"):
        raise InvalidParameterError(f"{name} must be true or false, not {shown(text)}")
    return text == "true"
