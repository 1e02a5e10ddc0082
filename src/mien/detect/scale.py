"""What size of face to look for, and pictures made smaller for it."""

import math

from mien.types import RgbImage

__all__ = ["MIN_FACE_SIZE_PX", "shrunk", "usual_face_size"]

# Nothing smaller can be asked for: it is the window that MTCNN looks through, and every pixel less
# takes more time than the one before.
MIN_FACE_SIZE_PX = 12

# Time falls with the square of the smallest face looked for, and smaller faces show too little to
# read; in a small picture, though, they may be what it is about, and in a large one they are
# background.
LEAST_FACE_PX = 20
USUAL_FACE_PX = 36
SMALL_SHARE = 12
LARGE_SHARE = 26


def usual_face_size(height: int, width: int) -> float:
    """Return the smallest face looked for, in pixels, in a picture of which nothing is known."""
    small = min(max(min(height, width) / SMALL_SHARE, LEAST_FACE_PX), USUAL_FACE_PX)
    return max(small, math.sqrt(height * width) / LARGE_SHARE)


def shrunk(image: RgbImage, factor: int) -> RgbImage:
    """Return the means of squares of ``factor`` pixels; at the far edges, of what is left."""
    return image if factor == 1 else RgbImage(image.picture.reduce(factor))
