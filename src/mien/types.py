"""The values that flow through the pipeline; valid once they exist, and never changed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Emotion(StrEnum):
    """What a face shows. The six of the contract first, then the two that wider sets add."""

    HAPPY = "happy"
    SAD = "sad"
    ANGRY = "angry"
    FEAR = "fear"
    SURPRISE = "surprise"
    NEUTRAL = "neutral"
    DISGUST = "disgust"
    CONTEMPT = "contempt"


class RgbImage:
    """An upright picture: (H, W, 3) uint8 RGB, C-contiguous, H and W at least 1.

    Made of an array or of a Pillow image of mode RGB; the other one is made when it is asked for,
    as each takes a millisecond for a megapixel. Neither is ever changed.
    stored_size: (width, height) of the upright picture as it is stored, None where the pixels are
    just that; a large picture may have been reduced on decoding.
    Raises ValueError for any other array or image.
    """

    __slots__ = ("_picture", "_pixels", "height", "stored_size", "width")

    def __init__(
        self,
        pixels: NDArray[np.uint8] | Image.Image,
        stored_size: tuple[int, int] | None = None,
    ) -> None:
        self._pixels: NDArray[np.uint8] | None = None
        self._picture: Image.Image | None = None
        if isinstance(pixels, Image.Image):
            if pixels.mode != "RGB" or 0 in pixels.size:
                raise ValueError(f"expected mode RGB, got {pixels.size} {pixels.mode}")
            self._picture = pixels
            self.width, self.height = pixels.size
        else:
            _check_pixels(pixels)
            self._pixels = pixels
            self.height, self.width = pixels.shape[:2]
        self.stored_size = stored_size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The array."""
        if self._pixels is None:
            self._pixels = np.asarray(self._picture)
        return self._pixels

    @property
    def picture(self) -> Image.Image:
        """The Pillow image."""
        if self._picture is None:
            self._picture = Image.fromarray(self.pixels)
        return self._picture

    def part(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Return the pixels of a rectangle inside; of a large picture no second copy is made."""
        if self._pixels is None:
            return np.asarray(self.picture.crop((left, top, right, bottom)))
        return self._pixels[top:bottom, left:right]


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"expected (H, W, 3) uint8, got {shape} {pixels.dtype}")
    if not pixels.flags.c_contiguous:
        raise ValueError("pixels must be C-contiguous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in source-image pixels; origin top-left, right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        edges = (self.left, self.top, self.right, self.bottom)
        if not all(map(math.isfinite, edges)):
            raise ValueError(f"box edges must be finite: {edges}")
        if self.right <= self.left or self.bottom <= self.top:
            raise ValueError(f"box must have an area: {edges}")

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    def scaled(self, x: float, y: float) -> "Box":
        """Return the box in a picture that is so many times as wide and as high."""
        return Box(
            left=self.left * x, top=self.top * y, right=self.right * x, bottom=self.bottom * y
        )

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return ``(x, y, width, height)`` in whole pixels inside a picture of the given size.

        Edges are rounded to the nearest pixel; width and height are at least 1.
        """
        x = min(max(round(self.left), 0), width - 1)
        y = min(max(round(self.top), 0), height - 1)
        right = min(max(round(self.right), x + 1), width)
        bottom = min(max(round(self.bottom), y + 1), height)
        return x, y, right - x, bottom - y

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        return self.left, self.top, self.width, self.height


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points ``(x, y)`` in source-image pixels; left and right as seen in the picture."""

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    nose: tuple[float, float]
    mouth_left: tuple[float, float]
    mouth_right: tuple[float, float]

    def scaled(self, x: float, y: float) -> "Landmarks":
        """Return the points in a picture that is so many times as wide and as high."""
        return Landmarks(*map(tuple, self.to_array() * (x, y)))

    def to_array(self) -> NDArray[np.float64]:
        """Return (5, 2) points in the order of the fields."""
        return np.array(
            [self.left_eye, self.right_eye, self.nose, self.mouth_left, self.mouth_right]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A detected face. ``score``: the detector's own, 0 to 1; not calibrated."""

    box: Box
    score: float
    landmarks: Landmarks | None = None


class Scores(dict[Emotion, float]):
    """Probabilities by emotion; cannot be changed, so that results can be hashed and shared."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("scores cannot be changed; make a dict of them")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type["Scores"], tuple[dict[Emotion, float]]]:
        return type(self), (dict(self),)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceEmotion:
    """A face and the emotion that it shows.

    Attributes:
        box: In pixels of the upright image, inside it.
        emotion: The label with the highest probability.
        confidence: Calibrated probability of ``emotion`` among the labels of ``scores``, 0 to 1.
        scores: Each label of the chosen set with its probability; they sum to 1.
        detection: The detector's score, 0 to 1; None where detection was skipped.
        landmarks: Five points; None where detection was skipped.
    """

    box: Box
    emotion: Emotion
    confidence: float
    scores: Mapping[Emotion, float]
    detection: float | None = None
    landmarks: Landmarks | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", Scores(self.scores))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds spent per stage; ``detect`` is 0 where detection was skipped."""

    decode: float = 0.0
    detect: float = 0.0
    classify: float = 0.0
