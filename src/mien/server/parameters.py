"""Query parameters: models built from the options in ``mien.options``."""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from mien.options import Include, Options, option_fields
from mien.video.tracks import PER_SECOND

__all__ = ["EmotionQuery", "LiveQuery", "NoQuery", "VideoQuery"]

# Upper limit of whole numbers. It also refuses numbers with thousands of digits.
_LARGEST = 1_000_000
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
# pydantic accepts more, such as 1e3, 1_0 and +1.
_WHOLE = re.compile("-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    known = _BOOLEANS.get(str(value).lower())
    if known is None:
        raise PydanticCustomError("boolean", "must be true, false, 1 or 0")
    return known


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise PydanticCustomError("whole", "must be a whole number")
    return value


def _decimal(value: Any) -> Any:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise PydanticCustomError("decimal", "must be a number")
    return value


def _items(value: Any) -> Any:
    """Split lists; an item may hold several, separated by commas."""
    return (
        [item for text in value for item in text.split(",")] if isinstance(value, list) else value
    )


# The range comes first in these types, for JSON Schema.
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Rate = Annotated[float, Field(ge=0.5, le=30), BeforeValidator(_decimal)]


class NoQuery(BaseModel):
    """The query of a path without parameters."""

    model_config = ConfigDict(extra="forbid")


class _Query(NoQuery):
    include: Annotated[list[Include], BeforeValidator(_items)] = Field(
        default=[],
        description="Optional keys of each face, separated by commas or repeated.",
        examples=[["scores", "landmarks"]],
    )

    def options(self) -> Options:
        """Return the analysis options."""
        given = {option.name: getattr(self, option.name) for option in option_fields()}
        return Options(**given, quality=Include.QUALITY in self.include)


def _field(option: Any) -> tuple[Any, Any]:
    """Return the type and description of an option, for a model."""
    least, most = option.metadata["least"], option.metadata["most"]
    described = {"default": option.default, "description": option.metadata["about"]}
    if isinstance(option.default, StrEnum):
        return type(option.default), Field(**described)
    if isinstance(option.default, bool):
        return Boolean, Field(**described)
    # None, the default, is not a value that a client can give.
    kind: Any = Annotated[float, Field(ge=least, le=most), BeforeValidator(_decimal)]
    if most is None:
        kind = Annotated[int, Field(ge=least, le=_LARGEST), BeforeValidator(_whole)]
    return kind, Field(**described)


_fields: dict[str, Any] = {option.name: _field(option) for option in option_fields()}
EmotionQuery: Any = create_model("EmotionQuery", __base__=_Query, **_fields)


class VideoQuery(EmotionQuery):  # type: ignore[misc]
    """The query of a video."""

    fps: Rate = Field(PER_SECOND, description="Samples per second.")
    smooth: Boolean = Field(True, description="Smooth each person's emotions over time.")


class LiveQuery(EmotionQuery):  # type: ignore[misc]
    """The query of a live connection."""

    smooth: Boolean = Field(False, description="Smooth each person's emotions over time.")
