"""Recall of cuts between shots, and false alarms.

    python -m benchmarks.shots FOLDER [--pairs 200]
    python -m benchmarks.shots --video FILE

FOLDER holds photos (.jpg). A shot is a part of a photo that stands still, shakes or moves; each
kind of motion is measured with a cut to another photo in the middle, and without one. Of a video,
the times of the cuts are printed.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.video.reader import VideoLimits, open_video
from mien.video.shots import THUMBNAIL_SIDE, Pending, with_cuts

FRAMES, RATE = 12, 25
# Share of the width of the visible part by which it moves in a frame.
PANS = {"slow pan": 0.01, "fast pan": 0.06, "whip pan": 0.12}
Thumbnail = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    parser.add_argument("--pairs", type=int, default=200, metavar="N")
    parser.add_argument("--video", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.video:
        with open_video(options.video, VideoLimits()) as video:
            print(*(f"{frame.time_s:.2f}" for frame in video.frames(60) if frame.cut))
        return
    draw = random.Random(0)
    photos = [photo for path in sorted(options.folder.rglob("*.jpg")) if (photo := load(path))]
    for name, motion in motions(draw).items():
        found = others = 0
        for _ in range(options.pairs):
            first, second = draw.sample(photos, 2)
            cuts = cuts_of([*shot(first, motion), *shot(second, motion)])
            found += FRAMES in cuts
            others += len(cuts) - (FRAMES in cuts)
        print(f"cut, {name}: {found / options.pairs:.1%} found, {others} others")
    for name, negative in negatives(draw).items():
        wrong = sum(bool(cuts_of(negative(draw.choice(photos)))) for _ in range(options.pairs))
        print(f"no cut, {name}: {wrong / options.pairs:.1%} with a wrong cut")


def load(path: Path) -> Image.Image | None:
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((320, 320))
    return photo if min(photo.size) >= 64 else None


Motion = Callable[[int], tuple[float, float]]


def motions(draw: random.Random) -> dict[str, Motion]:
    """Return, for each frame, the left and top of the visible part, as shares of the room."""

    def pan(step: float) -> Motion:
        # To the end and back: 0.6 of the width is visible, 0.4 is the room.
        return lambda n: (1 - abs(1 - (n * step * 0.6 / 0.4) % 2), 0.5)

    def shake(_: int) -> tuple[float, float]:
        return (draw.gauss(0.5, 0.02), draw.gauss(0.5, 0.02))

    return {"still": lambda _: (0.5, 0.5), "shaking": shake} | {
        name: pan(step) for name, step in PANS.items()
    }


def shot(photo: Image.Image, motion: Motion, frames: int = FRAMES) -> Iterator[Thumbnail]:
    width, height = (0.6 * side for side in photo.size)
    noise = np.random.default_rng(0)
    for n in range(frames):
        x, y = np.clip(motion(n), 0, 1)
        left, top = x * (photo.width - width), y * (photo.height - height)
        part = photo.resize(
            (THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            Image.Resampling.BOX,
            box=(left, top, left + width, top + height),
        )
        pixels = np.asarray(part) + noise.normal(0, 1, (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3))
        yield pixels.clip(0, 255).astype(np.int16)


def from_rest(step: float, frame: int) -> tuple[float, float]:
    return min(max(frame - 8, 0) * step * 0.6 / 0.4, 1), 0.5


def negatives(draw: random.Random) -> dict[str, Callable[[Image.Image], list[Thumbnail]]]:
    kinds: dict[str, Callable[[Image.Image], list[Thumbnail]]] = {}
    for name, motion in motions(draw).items():
        kinds[name] = lambda photo, motion=motion: list(shot(photo, motion, 2 * FRAMES))
    for name, step in PANS.items():
        kinds[f"{name} from rest"] = lambda photo, step=step: list(
            shot(photo, partial(from_rest, step), 2 * FRAMES)
        )
    for length in (1, 2, 3):
        kinds[f"flash of {length} frames"] = lambda photo, length=length: [
            (each + 120 * (8 <= n < 8 + length)).clip(0, 255)
            for n, each in enumerate(shot(photo, lambda _: (0.5, 0.5), 2 * FRAMES))
        ]
    kinds["lights at half"] = lambda photo: [
        each // (1 + (n >= 8)) for n, each in enumerate(shot(photo, lambda _: (0.5, 0.5), 20))
    ]
    return kinds


def cuts_of(thumbnails: list[Thumbnail]) -> list[int]:
    frames = (Pending(n, n / RATE, each) for n, each in enumerate(thumbnails))
    return [n for n, cut in with_cuts(frames) if cut]


if __name__ == "__main__":
    main()
