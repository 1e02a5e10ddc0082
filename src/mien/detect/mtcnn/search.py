"""How closely a picture is searched: as the reference does, or as most pictures need it."""

from dataclasses import dataclass

from mien.detect.scale import usual_face_size

__all__ = ["Search", "exact_search", "usual_search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The settings of one run of the cascade.

    min_face_size: pixels; factor: from one level of the pyramid to the next, below 1.
    thresholds: least scores after P-, R- and O-Net, 0 to 1; first_threshold: P-Net's at the
    pyramid's first level, where most of what it takes for a face is none.
    overlap: of P-Net's and of R-Net's candidates, those that overlap a better one by more than
    this intersection over union are dropped.
    shrink: P- and R-Net see the picture reduced by this whole factor.
    exact: they see it as the reference resamples it, to the pixel; then ``shrink`` is 1.
    """

    min_face_size: float
    factor: float
    thresholds: tuple[float, float, float]
    first_threshold: float
    overlap: float
    shrink: int = 1
    exact: bool = False


def exact_search(min_face_size: float) -> Search:
    """Return facenet-pytorch's settings; its users drop faces with a score below 0.9."""
    return Search(
        min_face_size=min_face_size,
        factor=0.709,
        thresholds=(0.6, 0.7, 0.9),
        first_threshold=0.6,
        overlap=0.7,
        exact=True,
    )


# Chosen on docs/detection.md's curves: more faces found and fewer invented than with the exact
# search from 20 pixels on, in a third of its time and less.
FACTOR = 0.6
THRESHOLDS = (0.7, 0.7, 0.6)
FIRST_THRESHOLD = 0.8
OVERLAP = 0.5
# The smallest face keeps this many pixels for R-Net, which enlarges it to 24.
SHRUNK_FACE_PX = 18


def usual_search(height: int, width: int) -> Search:
    """Return the settings for a picture of which nothing else is known."""
    smallest = usual_face_size(height, width)
    return Search(
        min_face_size=smallest,
        factor=FACTOR,
        thresholds=THRESHOLDS,
        first_threshold=FIRST_THRESHOLD,
        overlap=OVERLAP,
        shrink=max(int(smallest / SHRUNK_FACE_PX), 1),
    )
