"""How much fine detail a crop has: little if the face is blurred or was enlarged."""

import numpy as np
from numpy.typing import NDArray

from mien.classify.preprocess import Layout

__all__ = ["fine_detail", "laplacian"]

Floats = NDArray[np.float32]

# For a crop of a single shade, which has no detail.
_LEAST = np.float32(1e-4)
# Prevents the division by zero there.
_TINY = np.float32(1e-12)


def fine_detail(crops: Floats, layout: Layout) -> Floats:
    """Return (N,) variances of the Laplacian, each divided by the variance of its crop.

    Brightness, contrast and a normalization that is the same for all channels do not change it.
    Sharp faces of 48 pixels have 0.3 to 1.5, the same faces blurred with a standard deviation of
    two pixels 0.004 to 0.02.

    Args:
        crops: (N, C, H, W) or (N, H, W, C).
        layout: Which of the two.
    """
    shades = crops.mean(axis=1 if layout is Layout.NCHW else 3)
    fine: Floats = laplacian(shades).var(axis=(1, 2)) / (shades.var(axis=(1, 2)) + _TINY)
    return np.maximum(fine, _LEAST)


def laplacian(shades: Floats) -> Floats:
    """Return (..., H - 2, W - 2) Laplacians of shades (..., H, W), with OpenCV's kernel."""
    middle = shades[..., 1:-1, 1:-1]
    across = shades[..., 1:-1, :-2] + shades[..., 1:-1, 2:]
    curved: Floats = across + shades[..., :-2, 1:-1] + shades[..., 2:, 1:-1] - 4 * middle
    return curved
