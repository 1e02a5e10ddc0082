"""Values passed between stages, from images to emotions: immutable, validated on construction."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Emotion(StrEnum):
    """The emotions, in the order of the label sets: six, then disgust, then contempt."""

    HAPPY = "happy"
    SAD = "sad"
    ANGRY = "angry"
    FEAR = "fear"
    SURPRISE = "surprise"
    NEUTRAL = "neutral"
    DISGUST = "disgust"
    CONTEMPT = "contempt"


class RgbImage:
    """An upright image in RGB, as an array and as a Pillow image.

    It is built from one of the two. The other is created on first use, because a conversion takes
    about a millisecond per megapixel. Neither may be modified.

    Attributes:
        width: Pixels, at least 1.
        height: Pixels, at least 1.
        stored_size: (width, height) of the upright image in its file, if it was reduced while
            decoding; otherwise None.
    """

    __slots__ = ("_picture", "_pixels", "height", "stored_size", "width")

    def __init__(
        self,
        pixels: NDArray[np.uint8] | Image.Image,
        stored_size: tuple[int, int] | None = None,
    ) -> None:
        """Wrap an array or a Pillow image without copying it.

        Args:
            pixels: (H, W, 3) uint8 RGB, C-contiguous, or a Pillow image of mode RGB.
            stored_size: See the attribute.

        Raises:
            ValueError: The array has another shape or type, the image another mode, or it is empty.
        """
        self._pixels: NDArray[np.uint8] | None = None
        self._picture: Image.Image | None = None
        if isinstance(pixels, Image.Image):
            if pixels.mode != "RGB" or 0 in pixels.size:
                raise ValueError(
                    f"expected a non-empty image of mode RGB, got {pixels.size} {pixels.mode}"
                )
            self._picture = pixels
            self.width, self.height = pixels.size
        else:
            _check_pixels(pixels)
            self._pixels = pixels
            self.height, self.width = pixels.shape[:2]
        self.stored_size = stored_size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 array; read-only."""
        if self._pixels is None:
            self._pixels = np.asarray(self._picture)
        return self._pixels

    @property
    def picture(self) -> Image.Image:
        """Pillow image of mode RGB; read-only."""
        if self._picture is None:
            self._picture = Image.fromarray(self.pixels)
        return self._picture

    def part(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Return the pixels of a rectangle without converting the rest of the image.

        Args:
            left: First column.
            top: First row.
            right: Column after the last.
            bottom: Row after the last.

        Returns:
            (bottom - top, right - left, 3) uint8 array; read-only.
        """
        if self._pixels is None:
            return np.asarray(self.cropped(left, top, right, bottom))
        return self._pixels[top:bottom, left:right]

    def cropped(self, left: int, top: int, right: int, bottom: int) -> Image.Image:
        """Return a rectangle inside the image as a Pillow image.

        Pillow's own ``crop`` fails for a rectangle with more pixels than ``MAX_IMAGE_PIXELS``,
        which is global to the process.

        Args:
            left: First column.
            top: First row.
            right: Column after the last.
            bottom: Row after the last.
        """
        size, box = (right - left, bottom - top), (left, top, right, bottom)
        return self.picture.resize(size, Image.Resampling.NEAREST, box)


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"expected (H, W, 3) uint8, got {shape} {pixels.dtype}")
    if not pixels.flags.c_contiguous:
        raise ValueError("pixels must be C-contiguous")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in pixels of the upright image; the origin is the top left corner.

    Attributes:
        left: Left edge.
        top: Top edge.
        right: Right edge, exclusive; greater than ``left``.
        bottom: Bottom edge, exclusive; greater than ``top``.

    Raises:
        ValueError: An edge is not finite, or the area is not positive.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        edges = (self.left, self.top, self.right, self.bottom)
        if not all(map(math.isfinite, edges)):
            raise ValueError(f"box edges must be finite: {edges}")
        if self.right <= self.left or self.bottom <= self.top:
            raise ValueError(f"box must have a positive area: {edges}")

    @property
    def width(self) -> float:
        """Pixels, greater than 0."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels, greater than 0."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Square pixels, greater than 0."""
        return self.width * self.height

    def scaled(self, x: float, y: float) -> "Box":
        """Return the box in the same image resized by the factors ``x`` and ``y``."""
        return Box(
            left=self.left * x, top=self.top * y, right=self.right * x, bottom=self.bottom * y
        )

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the box in whole pixels, clipped to the image.

        Args:
            width: Pixels of the image.
            height: Pixels of the image.

        Returns:
            ``(x, y, width, height)``. Edges are rounded to the nearest pixel; width and height are
            at least 1.
        """
        x = min(max(round(self.left), 0), width - 1)
        y = min(max(round(self.top), 0), height - 1)
        right = min(max(round(self.right), x + 1), width)
        bottom = min(max(round(self.bottom), y + 1), height)
        return x, y, right - x, bottom - y

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """``(left, top, right, bottom)``."""
        return self.left, self.top, self.right, self.bottom

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """``(left, top, width, height)``."""
        return self.left, self.top, self.width, self.height


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Five points of a face, ``(x, y)`` in pixels of the upright image.

    Left and right are as seen in the image, not from the person's side.

    Attributes:
        left_eye: Center of the eye on the left.
        right_eye: Center of the eye on the right.
        nose: Tip of the nose.
        mouth_left: Left corner of the mouth.
        mouth_right: Right corner of the mouth.

    Raises:
        ValueError: A coordinate is not finite.
    """

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    nose: tuple[float, float]
    mouth_left: tuple[float, float]
    mouth_right: tuple[float, float]

    def __post_init__(self) -> None:
        points = (self.left_eye, self.right_eye, self.nose, self.mouth_left, self.mouth_right)
        if not all(map(math.isfinite, itertools.chain(*points))):
            raise ValueError(f"landmarks must be finite: {points}")

    def scaled(self, x: float, y: float) -> "Landmarks":
        """Return the points in the same image resized by the factors ``x`` and ``y``."""
        return Landmarks(*map(tuple, (self.to_array() * (x, y)).tolist()))

    def to_array(self) -> NDArray[np.float64]:
        """Return a (5, 2) float64 array of the points, in the order of the attributes."""
        return np.array(
            [self.left_eye, self.right_eye, self.nose, self.mouth_left, self.mouth_right]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A detected face.

    Attributes:
        box: In pixels of the upright image.
        score: The detector's score, 0 to 1. Scores of different detectors are not comparable.
        landmarks: None if the detector finds none.
    """

    box: Box
    score: float
    landmarks: Landmarks | None = None


class Scores(dict[Emotion, float]):
    """Probability of each emotion; immutable, so that results can be hashed and shared."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_: object, **__: object) -> Any:
        raise TypeError("scores are immutable; copy them with dict(scores)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type["Scores"], tuple[dict[Emotion, float]]]:
        return type(self), (dict(self),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Quality of a face. Light and sharpness are measured on its box, scaled to 96 x 96 pixels.

    Attributes:
        height: Height of the box, in pixels of the image.
        sharpness: Variance of the Laplacian of the grey box, on shades from 0 to 255; from 0,
            without upper limit. Low if the face is blurred, small, or of low contrast.
        brightness: Mean shade, from 0 (black) to 1 (white).
        contrast: Standard deviation of the shades, from 0 to 0.5.
        yaw: Degrees, -90 to 90; positive if the face is turned to the right edge of the image.
            Yaw, pitch and roll are estimated from five landmarks; None without landmarks.
        pitch: Degrees, -90 to 90; positive if the face looks up.
        roll: Degrees, -180 to 180; positive if the head is tilted clockwise in the image.
    """

    height: int
    sharpness: float
    brightness: float
    contrast: float
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceEmotion:
    """A face and its emotion.

    Attributes:
        box: In pixels of the upright image, clipped to it.
        emotion: The label with the highest probability.
        confidence: Calibrated probability of ``emotion`` among the labels of ``scores``, 0 to 1.
        scores: Probability of each label in the chosen set; they sum to 1.
        detection: The detector's score, 0 to 1; None if detection was skipped.
        landmarks: Five points; None if detection was skipped or the detector finds none.
        quality: None unless requested with ``Options(quality=True)``.
    """

    box: Box
    emotion: Emotion
    confidence: float
    scores: Mapping[Emotion, float]
    detection: float | None = None
    landmarks: Landmarks | None = None
    quality: Quality | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", Scores(self.scores))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds spent in each stage.

    Attributes:
        decode: Reading and decoding the image.
        detect: Finding faces; 0 if detection was skipped.
        classify: Cropping faces and classifying them.
    """

    decode: float = 0.0
    detect: float = 0.0
    classify: float = 0.0
