"""Validate an emotion model's card: the format of its crops and the meaning of its outputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from mien.artifacts import Card
from mien.classify.crop import FER2013_TEMPLATE, Template
from mien.classify.preprocess import Channels, CropSpec, Layout
from mien.errors import ArtifactError
from mien.types import Emotion

__all__ = ["SYNONYMS", "ModelSpec", "Output", "OutputKind"]

_Choice = TypeVar("_Choice", bound=StrEnum)

# Names of emotions in other data sets; a card may add its own in a table ``emotions``.
SYNONYMS = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
_KEYS = frozenset(
    {
        "size_px", "channels", "layout", "white", "mean", "std", "alignment", "side_of_height",
        "labels", "emotions", "output", "temperature", "second_labels", "second_share",
        "blur_threshold", "blur_exponent",
    }
)  # fmt: skip


class OutputKind(StrEnum):
    """What the numbers of an output are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the graph.

    Attributes:
        emotions: What each column stands for.
        share: Its weight in the prediction, 0 to 1.
    """

    emotions: tuple[Emotion, ...]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The table ``model`` of an emotion model's card.

    Attributes:
        crop: The crops that the graph takes.
        kind: What the numbers of its outputs are.
        outputs: The first gives the labels. A second may take part with its share: a second head
            that was trained on other labels of the same faces.
        temperature: Divides the log-probabilities; found by calibration.
        blur_threshold: Crops with less detail are blurred.
        blur_exponent: For them the temperature is multiplied by
            (blur_threshold / detail) ** blur_exponent.
    """

    crop: CropSpec
    kind: OutputKind
    outputs: tuple[Output, ...]
    temperature: float
    blur_threshold: float
    blur_exponent: float

    @classmethod
    def from_card(cls, card: Card) -> "ModelSpec":
        """Read the card.

        Raises:
            ArtifactError: A value is missing or wrong; the message names the key, what is allowed
                and what was found.
        """
        return _Reader(card).spec()


class _Reader:
    """Reads the values of one card; every problem names the card and the key."""

    def __init__(self, card: Card) -> None:
        self._name = card.name
        self._model = card.model

    def spec(self) -> ModelSpec:
        if unknown := sorted(set(self._model) - _KEYS):
            self._fail(unknown[0], f"is unknown; the keys are {', '.join(sorted(_KEYS))}")
        return ModelSpec(
            crop=self._crop(),
            kind=self._choice("output", OutputKind, OutputKind.LOGITS),
            outputs=self._outputs(),
            temperature=self._positive("temperature", 1.0),
            blur_threshold=self._positive("blur_threshold", 1.0),
            blur_exponent=self._not_negative("blur_exponent", 0.0),
        )

    def _crop(self) -> CropSpec:
        size = self._model.get("size_px")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            self._refuse("size_px", "must be a whole number of at least 1", size)
        channels = self._choice("channels", Channels, Channels.GREY)
        return CropSpec(
            size_px=size,
            template=self._template(),
            channels=channels,
            layout=self._choice("layout", Layout, Layout.NCHW),
            white=self._positive("white", 1.0),
            mean=self._numbers("mean", channels, [0.0]),
            std=self._numbers("std", channels, [1.0], positive=True),
        )

    def _template(self) -> Template:
        alignment = self._model.get("alignment", "fer2013")
        side = self._positive("side_of_height", FER2013_TEMPLATE.side_of_height)
        if alignment == "fer2013":
            return Template(FER2013_TEMPLATE.points, side)
        if alignment == "box":
            return Template(None, side)
        pairs = alignment if isinstance(alignment, list) else []
        points = tuple(tuple(pair) for pair in pairs if _is_point(pair))
        if len(points) != 5 or len(pairs) != 5:
            self._refuse("alignment", 'must be "fer2013", "box" or five points [x, y]', alignment)
        if len(set(points)) == 1:
            self._refuse("alignment", "must be points of different places", alignment)
        return Template(points, side)

    def _outputs(self) -> tuple[Output, ...]:
        first = Output(self._emotions("labels"), 1.0)
        share = self._model.get("second_share", 0.0)
        if not _is_number(share) or not 0 <= share <= 1:
            self._refuse("second_share", "must be a number from 0 to 1", share)
        if not share:
            return (first,)
        second = Output(self._emotions("second_labels"), float(share))
        if not set(second.emotions) <= set(first.emotions):
            self._refuse("second_labels", "must be among labels", self._model["second_labels"])
        return Output(first.emotions, 1.0 - second.share), second

    def _emotions(self, key: str) -> tuple[Emotion, ...]:
        names = self._model.get(key)
        if not isinstance(names, list) or not names:
            self._refuse(key, "must be a list of names", names)
        renamed = self._model.get("emotions", {})
        if not isinstance(renamed, Mapping):
            self._refuse("emotions", "must be a table from names to emotions", renamed)
        known = ", ".join(Emotion)
        emotions: list[Emotion] = []
        for name in names:
            meant = renamed.get(str(name), SYNONYMS.get(str(name).lower(), str(name).lower()))
            if meant not in list(Emotion):
                self._refuse(key, f"must be among {known}, or keys of the table emotions", name)
            emotions.append(Emotion(meant))
        if len(set(emotions)) < len(emotions):
            self._refuse(key, "must name each emotion once", names)
        return tuple(emotions)

    def _positive(self, key: str, default: float) -> float:
        value = self._model.get(key, default)
        if not _is_number(value) or not value > 0:
            self._refuse(key, "must be a number greater than 0", value)
        return float(value)

    def _not_negative(self, key: str, default: float) -> float:
        value = self._model.get(key, default)
        if not _is_number(value) or not value >= 0:
            self._refuse(key, "must be a number of at least 0", value)
        return float(value)

    def _numbers(
        self, key: str, channels: Channels, default: list[float], *, positive: bool = False
    ) -> tuple[float, ...]:
        values = self._model.get(key, default)
        values = values if isinstance(values, list) else [values]
        if not all(map(_is_number, values)):
            self._refuse(key, "must be numbers", values)
        if len(values) not in (1, channels.number):
            self._refuse(
                key,
                f"must have {channels.number} values for channels = {channels}",
                len(values),
            )
        if positive and min(values) <= 0:
            self._refuse(key, "must be greater than 0", values)
        return tuple(map(float, values))

    def _choice(self, key: str, kind: type[_Choice], default: _Choice) -> _Choice:
        value = self._model.get(key, default)
        if value not in list(kind):
            self._refuse(key, f"must be one of {', '.join(kind)}", value)
        return kind(value)

    def _refuse(self, key: str, allowed: str, found: object) -> NoReturn:
        if key in self._model:
            self._fail(key, f"{allowed}, found {found!r}")
        self._fail(key, f"is missing; it {allowed}")

    def _fail(self, key: str, problem: str) -> NoReturn:
        raise ArtifactError(f"{self._name}/card.toml: model.{key} {problem}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_point(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))
