"""Analysis and output options, declared once; HTTP, the command line and Python build on them."""

from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from numbers import Integral, Real
from typing import Any, TypedDict, TypeVar

from mien.classify.labels import LabelSet
from mien.detect import MIN_FACE_SIZE_PX
from mien.errors import InvalidParameterError

__all__ = [
    "Include",
    "OptionKeywords",
    "Options",
    "Upright",
    "included",
    "label_set",
    "option_fields",
    "whole_number",
]

_Choice = TypeVar("_Choice", bound=StrEnum)


class Include(StrEnum):
    """Optional keys of a face record."""

    SCORES = "scores"
    LANDMARKS = "landmarks"
    DETECTION = "detection"
    QUALITY = "quality"


class Upright(StrEnum):
    """Whether to search an image in its four orientations unless a face is clearly upright."""

    OFF = "off"
    AUTO = "auto"


class OptionKeywords(TypedDict, total=False):
    """The options as keyword arguments; choices may be given by their names."""

    labels: LabelSet | str
    max_faces: int | None
    min_face_size: int | None
    min_score: float | None
    crop: bool
    upright: Upright | str
    quality: bool


def _about(
    about: str, *, least: float | None = None, most: float | None = None
) -> dict[str, object]:
    """Return an option's description and the range of its values, as metadata of its field."""
    return {"about": about, "least": least, "most": most}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to analyze one image.

    Raises:
        InvalidParameterError: A value has the wrong type or is out of range.
    """

    labels: LabelSet = field(
        default=LabelSet.SIX,
        metadata=_about("Emotions to distinguish: seven adds disgust, eight disgust and contempt."),
    )
    max_faces: int | None = field(
        default=None,
        metadata=_about(
            "Return at most N faces: the largest that score at least 0.9, then the largest others.",
            least=1,
        ),
    )
    min_face_size: int | None = field(
        default=None,
        metadata=_about(
            "Longer side of the smallest face to return, in pixels; mtcnn may return smaller ones. "
            "The default depends on the detector.",
            least=MIN_FACE_SIZE_PX,
        ),
    )
    min_score: float | None = field(
        default=None,
        metadata=_about(
            "Lowest detection score to return, from 0 to 1. The default depends on the detector.",
            least=0,
            most=1,
        ),
    )
    crop: bool = field(
        default=False, metadata=_about("The image is one cropped face: skip detection.")
    )
    upright: Upright = field(
        default=Upright.OFF,
        metadata=_about(
            "auto: unless a face is clearly upright, search all four orientations and use the best."
        ),
    )
    quality: bool = field(
        default=False,
        metadata=_about("Measure size, sharpness, light and pose of each face."),
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))


def option_fields() -> tuple[Field[Any], ...]:
    """Return the options for users; ``metadata`` holds ``about``, ``least`` and ``most``.

    ``quality`` is not among them: interfaces set it if ``include`` contains it.
    """
    return tuple(option for option in fields(Options) if option.name != Include.QUALITY)


def included(names: Iterable[str]) -> frozenset[Include]:
    """Return the optional keys of these names.

    Args:
        names: Names, or a string of names separated by commas.

    Raises:
        InvalidParameterError: There is no such key.
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")] if names else ()
    if not isinstance(names, Iterable):
        raise InvalidParameterError(f"include must be a list of names, not {names!r}")
    return frozenset(_choice("include", Include, name) for name in names)


def whole_number(name: str, value: object, least: int = 1) -> int:
    """Return a whole number of at least ``least``. Raises InvalidParameterError for others."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InvalidParameterError(
            f"{name} must be a whole number of at least {least}, not {value!r}"
        )
    return int(value)


def label_set(name: LabelSet | str) -> LabelSet:
    """Return the label set of that name. Raises InvalidParameterError if there is none."""
    return _choice("labels", LabelSet, name)


def _checked(option: Field[Any], value: Any) -> Any:
    """Return the value in the option's type."""
    name, least, most = option.name, option.metadata["least"], option.metadata["most"]
    if isinstance(option.default, StrEnum):
        return _choice(name, type(option.default), value)
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            raise InvalidParameterError(f"{name} must be True or False, not {value!r}")
        return value
    if value is None:
        return None
    # The range of whole numbers has no upper end.
    if most is None:
        return whole_number(name, value, least)
    # NaN compares as out of range.
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= value <= most:
        raise InvalidParameterError(
            f"{name} must be a number from {least} to {most}, not {value!r}"
        )
    return float(value)


def _choice(name: str, kind: type[_Choice], value: Any) -> _Choice:
    try:
        return kind(value)
    except ValueError as error:
        known = ", ".join(kind)
        raise InvalidParameterError(f"{name} must be one of {known}, not {value!r}") from error
