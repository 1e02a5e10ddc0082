"""Stretch the contrast of dark and hazy images for detection."""

import numpy as np
from PIL import Image

from mien.types import RgbImage

__all__ = ["exposures"]

# An image whose shades span less than FLAT of the whole range, from the first of these percentiles
# to the second, is stretched; one that spans no more than BLANK shows nothing but noise.
PERCENTILES = (1, 99)
FLAT, BLANK = 0.3 * 255, 3
# Shades are measured on about this many pixels.
SAMPLES = 4096


def exposures(image: RgbImage) -> tuple[RgbImage, ...]:
    """Return the image and, if its contrast is very low, a copy with more contrast.

    Both should be searched: the image may be dark, or a small photo on a white page.
    """
    factor = max(1, int((image.width * image.height / SAMPLES) ** 0.5))
    size = (max(1, image.width // factor), max(1, image.height // factor))
    # Single pixels, because means over a large image would take as long as part of the search.
    samples = image.picture.resize(size, Image.Resampling.NEAREST)
    counts = np.cumsum(samples.convert("L").histogram())
    low, high = np.searchsorted(counts, counts[-1] * np.array(PERCENTILES) // 100, side="right")
    if not BLANK < high - low < FLAT:
        return (image,)
    table = np.clip((np.arange(256) - low) * 255 / (high - low), 0, 255).astype(np.uint8)
    return image, RgbImage(image.picture.point(table.tolist() * 3), image.stored_size)
