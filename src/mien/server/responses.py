"""Models of the responses, used only for the OpenAPI document."""

from collections import defaultdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, RootModel

from mien.server.errors import PROBLEMS
from mien.types import Emotion

__all__ = [
    "BatchEntry",
    "Face",
    "Problem",
    "Status",
    "Version",
    "VideoLine",
    "problems",
]

_Probability = Annotated[float, Field(ge=0, le=1)]
# An angle up to a right one.
_Right = Annotated[float, Field(ge=-90, le=90)]
_Code = Annotated[
    str, Field(description="Stable, for programs.", json_schema_extra={"enum": sorted(PROBLEMS)})
]
_Text = Annotated[str, Field(description="For people; it may change.")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class Quality(_Closed):
    """How well a face can be read."""

    height: Annotated[int, Field(ge=1)] = Field(description="Height of the bounding box in pixels.")
    sharpness: NonNegativeFloat = Field(
        description="Variance of the Laplacian of the grey face at 96 x 96 pixels."
    )
    brightness: _Probability = Field(description="Mean shade: 0 is black, 1 is white.")
    contrast: Annotated[float, Field(ge=0, le=0.5)] = Field(
        description="Standard deviation of the shades."
    )
    yaw: _Right | None = Field(
        description="Degrees, positive to the right edge of the image. Yaw, pitch and roll are "
        "null without landmarks."
    )
    pitch: _Right | None = Field(description="Degrees, positive upwards.")
    roll: Annotated[float, Field(ge=-180, le=180)] | None = Field(
        description="Degrees, positive clockwise."
    )


class Face(_Closed):
    """A face and the emotion it shows."""

    bounding_box: Annotated[list[NonNegativeInt], Field(min_length=4, max_length=4)] = Field(
        description="x, y, width and height in whole pixels of the upright image. "
        "upright=auto does not rotate them."
    )
    emotion: Emotion
    confidence: _Probability = Field(
        description="Calibrated probability of the emotion among those of the label set."
    )
    turn: Literal[90, 180, 270] | None = Field(
        None,
        description="With upright=auto: clockwise rotation in degrees that makes faces upright. "
        "Absent if 0.",
    )
    scores: dict[Emotion, _Probability] = Field(
        default_factory=dict,
        description="With include=scores: the probability of each emotion of the label set.",
    )
    landmarks: (
        Annotated[
            list[Annotated[list[float], Field(min_length=2, max_length=2)]],
            Field(min_length=5, max_length=5),
        ]
        | None
    ) = Field(
        None,
        description="With include=landmarks: left eye, right eye, nose, left and right corner of "
        "the mouth; null if detection was skipped or gave none.",
    )
    detection: _Probability | None = Field(
        None,
        description="With include=detection: the detector's score; null if detection was skipped.",
    )
    quality: Quality | None = Field(
        None, description="With include=quality: how well the face can be read."
    )


class ErrorRecord(_Closed):
    """The error of one of several images."""

    code: _Code
    message: _Text


class Faces(_Closed):
    """The faces of one image of a batch."""

    faces: list[Face]


class ErrorEntry(_Closed):
    """The error of one image of a batch, or of a video after its first line."""

    error: ErrorRecord


class BatchEntry(RootModel[Faces | ErrorEntry]):
    """The result of one image of a batch."""


class TrackedFace(Face):
    """A face of a video, with its person."""

    person: Annotated[int, Field(ge=1)] = Field(description="The same number for the same person.")


class VideoSample(_Closed):
    """The faces of one frame."""

    time_s: NonNegativeFloat = Field(description="Since the first frame.")
    frame: NonNegativeInt = Field(description="Number of the frame, from 0.")
    size: Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)]
    faces: list[TrackedFace]


class Person(_Closed):
    """A person of a video."""

    person: Annotated[int, Field(ge=1)]
    from_s: NonNegativeFloat = Field(alias="from")
    to_s: NonNegativeFloat = Field(alias="to")
    seconds: NonNegativeFloat = Field(description="How long the person was seen.")
    emotions: dict[Emotion, _Probability] = Field(
        description="The share of that time for which each emotion was shown."
    )


class VideoSummary(_Closed):
    """A video as a whole."""

    samples: NonNegativeInt
    seconds: NonNegativeFloat
    cut_off: bool = Field(description="Whether the video ended in damaged data.")
    dropped_frames: NonNegativeInt = Field(
        description="Frames that were damaged, out of order or that repeat a timestamp."
    )
    persons: list[Person]


class VideoEnd(_Closed):
    """The last line of a video that was read to its end."""

    summary: VideoSummary


class VideoLine(RootModel[VideoSample | VideoEnd | ErrorEntry]):
    """One line of the response for a video."""


class Problem(_Closed):
    """An error after RFC 9457."""

    type: str = Field(description="Where the code is explained.")
    title: str
    status: int
    detail: _Text
    code: _Code
    instance: str = Field(description="Identifies this request in the log.")


class Status(_Closed):
    """Whether the service is alive or ready."""

    status: Literal["alive", "ready"]


class Version(_Closed):
    """What is running."""

    name: str
    version: str
    detector: str
    model: str


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route for these error codes, and for those of every route."""
    codes += ("internal_error", "invalid_parameter", "malformed_request", "method_not_allowed")
    by_status: dict[int | str, list[str]] = defaultdict(list)
    for code in sorted(set(codes)):
        by_status[PROBLEMS[code].status].append(code)
    return {
        status: {"model": Problem, "description": ", ".join(same)}
        for status, same in sorted(by_status.items())
    }
