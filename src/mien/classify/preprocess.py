"""From squares of an image to the input of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mien.classify.crop import FER2013_TEMPLATE, Square, Template, crop_square
from mien.types import RgbImage

__all__ = ["Channels", "CropSpec", "Layout"]


class Channels(StrEnum):
    """Color channels of a crop, in their order."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"

    @property
    def number(self) -> int:
        """How many there are."""
        return 1 if self is Channels.GREY else 3


class Layout(StrEnum):
    """Order of a batch's dimensions: channels before or after rows and columns."""

    NCHW = "nchw"
    NHWC = "nhwc"


@dataclass(frozen=True, slots=True, kw_only=True)
class CropSpec:
    """The crops that a classifier takes.

    Attributes:
        size_px: Side of the square crops.
        template: Position of the faces in them.
        channels: Grey or colors.
        layout: Order of the dimensions.
        white: Value of a white pixel before normalization: 1 or 255.
        mean: Subtracted; one value, or one for each channel, in the order of ``channels``.
        std: Divides the difference; one value, or one for each channel.
    """

    size_px: int
    template: Template = FER2013_TEMPLATE
    channels: Channels = Channels.GREY
    layout: Layout = Layout.NCHW
    white: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one crop."""
        if self.layout is Layout.NHWC:
            return self.size_px, self.size_px, self.channels.number
        return self.channels.number, self.size_px, self.size_px

    def crops(self, image: RgbImage, squares: Sequence[Square]) -> NDArray[np.float32]:
        """Return (N, *shape) float32 crops, normalized; N may be 0."""
        crops = np.empty((len(squares), *self.shape), dtype=np.float32)
        for crop, square in zip(crops, squares, strict=True):
            crop[...] = self._crop(image, square)
        return crops

    def _crop(self, image: RgbImage, square: Square) -> NDArray[np.float32]:
        mode = "L" if self.channels is Channels.GREY else "RGB"
        pixels = crop_square(image, square, self.size_px, mode).reshape(
            self.size_px, self.size_px, self.channels.number
        )
        if self.channels is Channels.BGR:
            pixels = pixels[..., ::-1]
        mean, std = (np.array(values, dtype=np.float32) for values in (self.mean, self.std))
        normalized: NDArray[np.float32] = (pixels * np.float32(self.white) - mean) / std
        return normalized if self.layout is Layout.NHWC else normalized.transpose(2, 0, 1)
