"""Query parameters, read strictly: what is unknown, repeated or out of range is refused."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl

from mien.classify.labels import LabelSet
from mien.errors import InvalidParameterError
from mien.pipeline import Options
from mien.render.json import Include

__all__ = [
    "MAX_NUMBER",
    "MIN_FACE_SIZE_PX",
    "Query",
    "boolean",
    "parse_query",
    "refuse_parameters",
    "shown",
]

MIN_FACE_SIZE_PX = 12  # the detector's own window: nothing smaller can be looked for
MAX_NUMBER = 1_000_000
_MAX_FIELDS = 32
_SHOWN_CHARS = 40
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
        max_faces=_number("max_faces", single.get("max_faces"), least=1),
        min_face_size=_number("min_face_size", single.get("min_face_size"), least=MIN_FACE_SIZE_PX),
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


def _number(name: str, text: str | None, *, least: int) -> int | None:
    if text is None:
        return None
    # isdigit alone would let digits of other scripts pass; the length keeps int() cheap.
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_NUMBER)):
        number = int(text)
        if least <= number <= MAX_NUMBER:
            return number
    raise InvalidParameterError(
        f"{name} must be a whole number from {least} to {MAX_NUMBER}, not {shown(text)}"
    )


def boolean(name: str, text: str) -> bool:
    """Return a strict truth value. Raises InvalidParameterError for anything else."""
    if text not in ("true", "false"):
        raise InvalidParameterError(f"{name} must be true or false, not {shown(text)}")
    return text == "true"
