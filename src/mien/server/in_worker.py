"""Functions that the service's worker processes run besides ``Recognizer.analyze``.

This module imports nothing of the HTTP service, which would take 17 MB in each worker process.
"""

from collections.abc import Callable

import numpy as np

from mien.artifacts import Card
from mien.options import Options
from mien.recognizer import Recognizer
from mien.types import RgbImage

__all__ = ["name_on_card", "warm_recognizer", "warm_up"]

# Large enough for an image pyramid of several levels, small enough to take no time.
_SIDE_PX = 160


def warm_recognizer(build: Callable[[], Recognizer]) -> Recognizer:
    """Return the built recognizer after it has analyzed its first images."""
    recognizer = build()
    warm_up(recognizer)
    return recognizer


def warm_up(recognizer: Recognizer) -> None:
    """Run the models once. Raises what they raise."""
    blank = RgbImage(np.full((_SIDE_PX, _SIDE_PX, 3), 127, dtype=np.uint8))
    recognizer.analyze(blank)
    recognizer.analyze(blank, Options(crop=True))


def name_on_card(recognizer: Recognizer) -> str | None:
    """Return the name on the emotion model's card, if it has one."""
    card = getattr(recognizer.classifier, "card", None)
    return card.name if isinstance(card, Card) else None
