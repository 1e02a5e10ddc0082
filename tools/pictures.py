"""Draw the images of docs/how-it-works.md: one photo at each stage of the pipeline.

    python tools/pictures.py [--photo examples/astronaut.jpg] [--out docs/images/pipeline]

Runs the stages one by one with the models and defaults of the package, for the largest face.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.classify.crop import Square, crop_square, square_of_face
from mien.classify.onnx import load_classifier
from mien.detect.full_resolution import MAX_OVERLAP
from mien.detect.levels import smaller_levels
from mien.detect.yunet import PROPOSED, YunetDetector
from mien.geometry import suppress
from mien.image import load_image
from mien.recognizer import MAX_PIXELS, Recognizer
from mien.render.drawing import COLORS, DARK, LIGHT, Rgb, font_of
from mien.render.numbers import format_probability
from mien.types import Emotion, Face, RgbImage

FOUND: Rgb = COLORS[Emotion.HAPPY]
POINTS: Rgb = COLORS[Emotion.CONTEMPT]
TURNED: Rgb = COLORS[Emotion.ANGRY]
GAP_PX = 12
FONT_PX = 18
CROP_ZOOM = 6
# Fewer colors take a third of the bytes, without a visible difference here.
PALETTE = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The outputs of all stages for one photo.

    Attributes:
        image: The photo.
        levels: The image at each size, (h, w, 3) uint8.
        boxes: (N, 4) proposals, what suppression leaves of them, and the faces.
        face: The largest face.
        square: Its aligned square.
        crop: (48, 48) float32 in [0, 1].
        scores: Probabilities of the emotions.
        annotated: The photo with box and label.
    """

    image: RgbImage
    levels: Sequence[NDArray[np.uint8]]
    boxes: Sequence[NDArray[np.float32]]
    face: Face
    square: Square
    crop: NDArray[np.float32]
    scores: dict[Emotion, float]
    annotated: Image.Image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, default=Path("examples/astronaut.jpg"))
    parser.add_argument("--out", type=Path, default=Path("docs/images/pipeline"))
    arguments = parser.parse_args()
    for path in draw(arguments.photo, arguments.out):
        print(path)


def draw(photo: Path, folder: Path) -> list[Path]:
    """Write the images for a photo with at least one face.

    Returns:
        The files.
    """
    stages = run_stages(load_image(photo, max_pixels=MAX_PIXELS))
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "1-pyramid": draw_pyramid(stages),
        "2-candidates": draw_candidates(stages),
        "3-landmarks": draw_landmarks(stages),
        "4-crop": draw_crop(stages),
        "5-probabilities": draw_probabilities(stages.scores),
        "6-answer": stages.annotated,
    }
    paths = []
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        picture.quantize(PALETTE, dither=Image.Dither.NONE).save(path, optimize=True)
        paths.append(path)
    return paths


def run_stages(image: RgbImage) -> Stages:
    """Run the stages of the package one by one."""
    detector, classifier = YunetDetector(), load_classifier()
    face = detector.detect(image)[0]
    square = square_of_face(face)
    return Stages(
        image=image,
        levels=[np.asarray(level) for level, _ in levels_of(image)],
        boxes=boxes_of(detector, image),
        face=face,
        square=square,
        crop=crop_square(image, square, classifier.crop.size_px),
        **result_of(Recognizer(detector=detector, model=classifier), image),
    )


def levels_of(image: RgbImage) -> list[tuple[Image.Image, int]]:
    """Return a photo of at most 1.7 megapixels at each size, with its factor."""
    return [(image.picture, 1), *smaller_levels(image, 2)]


def boxes_of(detector: YunetDetector, image: RgbImage) -> list[NDArray[np.float32]]:
    """Return YuNet's proposals, what suppression leaves, and the faces, in pixels of the image."""
    found = []
    for level, factor in levels_of(image):
        rows = detector.propose(np.asarray(level))
        rows[:, 1:] *= factor
        found.append(rows[rows[:, 0] >= PROPOSED])
    rows = np.concatenate(found)
    kept = rows[suppress(rows[:, 1:5], rows[:, 0], MAX_OVERLAP)]
    return [rows[:, 1:5], kept[:, 1:5], detector.detections(image)[:, 1:5]]


def result_of(recognizer: Recognizer, image: RgbImage) -> dict[str, object]:
    result = recognizer.analyze(image)
    return {"scores": dict(result.faces[0].scores), "annotated": result.annotate(image)}


def draw_pyramid(stages: Stages) -> Image.Image:
    """Draw the levels side by side, each with its size."""
    pictures = [Image.fromarray(level) for level in stages.levels]
    names = [f"{level.shape[1]} x {level.shape[0]}" for level in stages.levels]
    return in_a_row(pictures, names)


def draw_candidates(stages: Stages) -> Image.Image:
    """Draw the boxes after each step on a copy of the photo."""
    panels = []
    for boxes in stages.boxes:
        panel = stages.image.picture.copy()
        pen = ImageDraw.Draw(panel)
        for left, top, right, bottom in boxes.tolist():
            pen.rectangle((left, top, right - 1, bottom - 1), outline=FOUND, width=3)
        panels.append(panel.resize((320, round(320 * panel.height / panel.width))))
    names = [
        f"{step}: {len(boxes)}"
        for step, boxes in zip(("proposed", "best", "verified"), stages.boxes, strict=True)
    ]
    return in_a_row(panels, names)


def draw_landmarks(stages: Stages) -> Image.Image:
    """Draw the box, the five landmarks and the rotated square of the crop."""
    around = surroundings(stages)
    zoom = round(480 / (around[2] - around[0]))
    panel = enlarged(stages.image.picture.crop(around), zoom, smooth=True)
    pen = ImageDraw.Draw(panel)

    def here(x: float, y: float) -> tuple[float, float]:
        return (x - around[0]) * zoom, (y - around[1]) * zoom

    box = stages.face.box
    pen.rectangle((*here(box.left, box.top), *here(box.right, box.bottom)), outline=FOUND, width=3)
    corners = [here(*corner) for corner in corners_of(stages.square)]
    pen.line([*corners, corners[0]], fill=TURNED, width=3)
    for point in stages.face.landmarks.to_array().tolist() if stages.face.landmarks else ():
        x, y = here(*point)
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=POINTS, outline=DARK, width=2)
    return panel


def draw_crop(stages: Stages) -> Image.Image:
    """Draw the 48 x 48 grey pixels of the classifier's input, enlarged."""
    return enlarged(Image.fromarray(to_bytes(stages.crop * 255)), CROP_ZOOM).convert("RGB")


def draw_probabilities(scores: dict[Emotion, float]) -> Image.Image:
    """Draw a bar for each emotion, in the emotion's color."""
    row_px, name_px, bar_px, number_px = 34, 100, 320, 80
    picture = Image.new("RGB", (name_px + bar_px + number_px, row_px * len(scores) + GAP_PX), LIGHT)
    pen = ImageDraw.Draw(picture)
    for row, (emotion, score) in enumerate(scores.items()):
        middle = GAP_PX / 2 + row_px * (row + 0.5)
        high, low = middle - row_px * 0.35, middle + row_px * 0.35
        pen.text((name_px - 10, middle), emotion, fill=DARK, font=font_of(FONT_PX), anchor="rm")
        length = max(1, bar_px * score)
        pen.rectangle((name_px, high, name_px + length, low), fill=COLORS[emotion], outline=DARK)
        number = (name_px + bar_px + 10, middle)
        pen.text(
            number, format_probability(score, 1), fill=DARK, font=font_of(FONT_PX), anchor="lm"
        )
    return picture


def in_a_row(pictures: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    """Return images side by side on white, each above its name."""
    columns = [max(picture.width, 90) for picture in pictures]
    tallest = max(picture.height for picture in pictures)
    width = sum(columns) + GAP_PX * (len(pictures) - 1)
    canvas = Image.new("RGB", (width, tallest + 2 * FONT_PX), LIGHT)
    pen = ImageDraw.Draw(canvas)
    left = 0
    for picture, name, column in zip(pictures, names, columns, strict=True):
        canvas.paste(picture, (left + (column - picture.width) // 2, tallest - picture.height))
        place = (left + column / 2, tallest + FONT_PX)
        pen.text(place, name, fill=DARK, font=font_of(FONT_PX), anchor="mm")
        left += column + GAP_PX
    return canvas


def surroundings(stages: Stages) -> tuple[int, int, int, int]:
    """Return a larger square around that of the crop, in whole pixels."""
    half = stages.square.side * 0.8
    left, top = stages.square.center_x - half, stages.square.center_y - half
    return round(left), round(top), round(left + 2 * half), round(top + 2 * half)


def corners_of(square: Square) -> list[tuple[float, float]]:
    """Return the corners of a rotated square, clockwise as seen in the image."""
    corners = np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]) * square.side / 2
    turned = corners * np.exp(1j * square.angle) + square.center_x + 1j * square.center_y
    return [(point.real, point.imag) for point in turned.tolist()]


def enlarged(picture: Image.Image, factor: int, *, smooth: bool = False) -> Image.Image:
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return picture.resize((picture.width * factor, picture.height * factor), how)


def to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
