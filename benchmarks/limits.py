"""What makes faces hard to find and to read: one photo after the other is made worse, step by step.

    python -m benchmarks.limits FOLDER [--every N] [--out docs/images/limits.svg]

FOLDER holds photos and labels.csv, as for ``mien-train evaluate --photos``. Takes the labeled
faces of at least ``BASE_PX``, brings each to that size with what lies around it, and changes one
thing at a time. For each change: the share of faces found, the accuracy on those that are found,
and their mean confidence. Then accuracy and confidence by the pose of the head in the unchanged
photos. Needs matplotlib (extra bench).
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.svg import plt, save
from mien.image import load_image
from mien.recognizer import MAX_PIXELS, Recognizer
from mien_train.photos import load_labels, match

BASE_PX = 80
# Of the face's side, on each side of its center.
AROUND = 2.0
# The grey of what covers a face.
COVER = (90, 90, 90)
YAWS = (0, 15, 30, 90)


@dataclass(frozen=True, slots=True)
class View:
    """A photo with one labeled face; box as left, top, right, bottom in pixels."""

    image: Image.Image
    box: tuple[float, float, float, float]

    @property
    def side(self) -> float:
        """The longer side of the face's box."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    def shrunk(self, side_px: float) -> "View":
        """Return the photo at the size at which the face's longer side measures ``side_px``."""
        scale = min(side_px / self.side, 1)
        width, height = (max(round(side * scale), 1) for side in self.image.size)
        image = self.image.resize((width, height), Image.Resampling.BOX)
        left, top, right, bottom = (edge * scale for edge in self.box)
        return View(image, (left, top, right, bottom))

    def cut(self) -> "View":
        """Return the face with what lies around it."""
        left, top, right, bottom = self.box
        reach = AROUND * self.side
        x, y = (left + right) / 2, (top + bottom) / 2
        a, b = max(round(x - reach), 0), max(round(y - reach), 0)
        c = min(round(x + reach), self.image.width)
        d = min(round(y + reach), self.image.height)
        return View(self.image.crop((a, b, c, d)), (left - a, top - b, right - a, bottom - b))


Change = Callable[[View, float], View]


def turned(view: View, degrees: float) -> View:
    """Turn the image about the face's center; the new box holds the ellipse in the old one."""
    left, top, right, bottom = view.box
    center = ((left + right) / 2, (top + bottom) / 2)
    mean = tuple(int(shade) for shade in np.asarray(view.image).mean(axis=(0, 1)))
    image = view.image.rotate(degrees, Image.Resampling.BICUBIC, center=center, fillcolor=mean)
    turn = np.radians(degrees)
    across, down = (right - left) / 2, (bottom - top) / 2
    half_width = np.hypot(across * np.cos(turn), down * np.sin(turn))
    half_height = np.hypot(across * np.sin(turn), down * np.cos(turn))
    x, y = center
    return View(image, (x - half_width, y - half_height, x + half_width, y + half_height))


def blurred(view: View, share: float) -> View:
    """Blur; the standard deviation is a share of the face's side."""
    return View(view.image.filter(ImageFilter.GaussianBlur(share * BASE_PX)), view.box)


def darkened(view: View, factor: float) -> View:
    return View(view.image.point(lambda shade: round(shade * factor)), view.box)


def covered_below(view: View, share: float) -> View:
    left, top, right, bottom = view.box
    return _covered(view, (left, bottom - share * (bottom - top), right, bottom))


def covered_aside(view: View, share: float) -> View:
    left, top, right, bottom = view.box
    return _covered(view, (left, top, left + share * (right - left), bottom))


def _covered(view: View, part: tuple[float, float, float, float]) -> View:
    image = view.image.copy()
    left, top, right, bottom = part
    image.paste(COVER, (round(left), round(top), round(right), round(bottom)))
    return View(image, view.box)


CHANGES: Mapping[str, tuple[Change, tuple[float, ...]]] = {
    "longer side of the face, px": (View.shrunk, (80, 64, 48, 40, 32, 24, 20, 16, 12)),
    "turned in the plane, degrees": (turned, (0, 15, 30, 45, 60, 90, 180)),
    "blur, share of the face": (blurred, (0, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08)),
    "brightness": (darkened, (1, 0.5, 0.25, 0.15, 0.1, 0.05, 0.03)),
    "covered from below, share": (covered_below, (0, 0.15, 0.3, 0.4, 0.5, 0.6)),
    "covered from the side, share": (covered_aside, (0, 0.15, 0.3, 0.4, 0.5, 0.6)),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for a labeled face: whether it is right, with which score, and the yaw."""

    right: bool
    score: float
    yaw: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th face only")
    parser.add_argument("--out", type=Path, default=Path("docs/images/limits.svg"))
    arguments = parser.parse_args()
    recognizer = Recognizer(quality=True)
    predictions: dict[tuple[str, float], list[Prediction | None]] = {}
    for number, (view, label) in enumerate(views(arguments.folder)):
        if number % arguments.every:
            continue
        for name, (change, steps) in CHANGES.items():
            start = view if change is View.shrunk else view.shrunk(BASE_PX).cut()
            for step in steps:
                prediction = predicted(recognizer, change(start, step), label)
                predictions.setdefault((name, step), []).append(prediction)
    print_tables(predictions)
    draw(predictions, arguments.out)
    print(arguments.out)


def views(folder: Path) -> Iterator[tuple[View, str]]:
    """Yield each large enough face with its label, and its photo."""
    for file, faces in groupby(load_labels(folder), key=lambda face: face.file):
        picture = load_image(folder / file, max_pixels=MAX_PIXELS).picture
        for face in faces:
            view = View(picture, face.box)
            if view.side >= BASE_PX:
                yield view, face.label


def predicted(recognizer: Recognizer, view: View, label: str) -> Prediction | None:
    """Return the prediction for the view's face, or None where it is not found."""
    faces = recognizer.analyze(view.image).faces
    index = match(view.box, [face.box.xyxy for face in faces])
    if index is None:
        return None
    face = faces[index]
    yaw = face.quality.yaw if face.quality and face.quality.yaw is not None else 0.0
    return Prediction(face.emotion.value == label, face.confidence, abs(yaw))


def figures(predictions: list[Prediction | None]) -> NDArray[np.float64]:
    """Return the share that is found, and of those the accuracy and the mean score."""
    found = [each for each in predictions if each is not None]
    pairs = np.array([(each.right, each.score) for each in found], dtype=float).reshape(-1, 2)
    means = pairs.mean(axis=0) if found else (np.nan, np.nan)
    return np.array([len(found) / len(predictions), *means])


def print_tables(predictions: Mapping[tuple[str, float], list[Prediction | None]]) -> None:
    head = f"{'found':>8}{'accuracy':>10}{'confidence':>12}"
    print(f"{len(next(iter(predictions.values())))} faces{'':28}{head}")
    for (name, step), given in predictions.items():
        found, accuracy, score = figures(given)
        print(f"{name:30}{step:8g}{found:8.3f}{accuracy:10.3f}{score:12.3f}")
    whole = [each for each in next(iter(predictions.values())) if each is not None]
    for low, high in pairwise(YAWS):
        group: list[Prediction | None] = [each for each in whole if low <= each.yaw < high]
        if group:
            _, accuracy, score = figures(group)
            name = f"yaw {low} to {high} degrees"
            print(f"{name:30}{len(group):8}{'':8}{accuracy:10.3f}{score:12.3f}")


def draw(predictions: Mapping[tuple[str, float], list[Prediction | None]], out: Path) -> None:
    figure, grid = plt.subplots(2, 3, figsize=(9, 5.2), sharey=True)
    for axes, (name, (_, steps)) in zip(grid.flat, CHANGES.items(), strict=True):
        lines = np.array([figures(predictions[name, step]) for step in steps]).T
        at = range(len(steps))
        for line, label in zip(lines, ("found", "accuracy", "mean confidence"), strict=True):
            style = "--" if label == "mean confidence" else "-"
            axes.plot(at, line, style, marker=".", label=label)
        axes.set_xticks(at, [f"{step:g}" for step in steps])
        axes.set_xlabel(name)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
    grid[0, 0].legend(loc="lower left")
    save(figure, out)


if __name__ == "__main__":
    main()
