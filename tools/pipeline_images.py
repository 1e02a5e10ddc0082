"""Draw the images of docs/how-it-works.md: one photo at each stage of the pipeline.

    python tools/pipeline_images.py [--photo examples/astronaut.jpg] [--out docs/images/pipeline]

Runs the stages one by one with the models and defaults of the package, for the largest face.
"""

import argparse
from collections.abc import Mapping, Sequence
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
    image = load_image(photo, max_pixels=MAX_PIXELS)
    detector, classifier = YunetDetector(), load_classifier()
    face = detector.detect(image)[0]
    square = square_of_face(face)
    result = Recognizer(detector=detector, model=classifier).analyze(image)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "1-pyramid": draw_pyramid(image),
        "2-candidates": draw_candidates(image, boxes_of(detector, image)),
        "3-landmarks": draw_landmarks(image, face, square),
        "4-crop": draw_crop(crop_square(image, square, classifier.crop.size_px)),
        "5-probabilities": draw_probabilities(result.faces[0].scores),
        "6-answer": result.annotate(image),
    }
    paths = []
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        picture.quantize(PALETTE, dither=Image.Dither.NONE).save(path, optimize=True)
        paths.append(path)
    return paths


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


def draw_pyramid(image: RgbImage) -> Image.Image:
    """Draw the levels side by side, each with its size."""
    levels = [level for level, _ in levels_of(image)]
    return in_a_row(levels, [f"{level.width} x {level.height}" for level in levels])


def draw_candidates(image: RgbImage, boxes: Sequence[NDArray[np.float32]]) -> Image.Image:
    """Draw the boxes (N, 4) after each step on a copy of the photo."""
    panels = []
    for found in boxes:
        panel = image.picture.copy()
        pen = ImageDraw.Draw(panel)
        for left, top, right, bottom in found.tolist():
            pen.rectangle((left, top, right - 1, bottom - 1), outline=FOUND, width=3)
        panels.append(panel.resize((320, round(320 * panel.height / panel.width))))
    names = [
        f"{step}: {len(found)}"
        for step, found in zip(("proposed", "best", "verified"), boxes, strict=True)
    ]
    return in_a_row(panels, names)


def draw_landmarks(image: RgbImage, face: Face, square: Square) -> Image.Image:
    """Draw the box, the five landmarks and the rotated square of the crop."""
    around = surroundings(square)
    zoom = round(480 / (around[2] - around[0]))
    panel = enlarged(image.picture.crop(around), zoom, smooth=True)
    pen = ImageDraw.Draw(panel)

    def here(x: float, y: float) -> tuple[float, float]:
        return (x - around[0]) * zoom, (y - around[1]) * zoom

    box = face.box
    pen.rectangle((*here(box.left, box.top), *here(box.right, box.bottom)), outline=FOUND, width=3)
    corners = [here(*corner) for corner in corners_of(square)]
    pen.line([*corners, corners[0]], fill=TURNED, width=3)
    for point in face.landmarks.to_array().tolist() if face.landmarks else ():
        x, y = here(*point)
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=POINTS, outline=DARK, width=2)
    return panel


def draw_crop(crop: NDArray[np.float32]) -> Image.Image:
    """Draw the 48 x 48 grey pixels of the classifier's input, from 0 to 1, enlarged."""
    return enlarged(Image.fromarray(np.rint(crop * 255).astype(np.uint8)), CROP_ZOOM).convert("RGB")


def draw_probabilities(scores: Mapping[Emotion, float]) -> Image.Image:
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


def surroundings(square: Square) -> tuple[int, int, int, int]:
    """Return a larger square around that of the crop, in whole pixels."""
    half = square.side * 0.8
    left, top = square.center_x - half, square.center_y - half
    return round(left), round(top), round(left + 2 * half), round(top + 2 * half)


def corners_of(square: Square) -> list[tuple[float, float]]:
    """Return the corners of a rotated square, clockwise as seen in the image."""
    corners = np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]) * square.side / 2
    turned = corners * np.exp(1j * square.angle) + square.center_x + 1j * square.center_y
    return [(point.real, point.imag) for point in turned.tolist()]


def enlarged(picture: Image.Image, factor: int, *, smooth: bool = False) -> Image.Image:
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return picture.resize((picture.width * factor, picture.height * factor), how)


if __name__ == "__main__":
    main()
