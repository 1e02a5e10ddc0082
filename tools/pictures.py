"""The pictures of docs/how-it-works.md: one photo at each stage of the pipeline.

    python tools/pictures.py [--photo examples/astronaut.jpg] [--out docs/images/pipeline]

The stages are run one by one, with the models and settings of the package. Shows the largest face.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.classify.crop import Region, crop_region, region_of_face
from mien.classify.onnx import load_classifier
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.mtcnn.cascade import Cascade
from mien.detect.mtcnn.pyramid import level_size, pyramid_scales
from mien.detect.mtcnn.search import Search
from mien.image import load_image
from mien.recognizer import Recognizer
from mien.render.drawing import COLOURS, DARK, LIGHT, Rgb, font_of
from mien.render.words import chance
from mien.settings import Settings
from mien.types import Emotion, Face, RgbImage

FOUND: Rgb = COLOURS[Emotion.HAPPY]
POINTS: Rgb = COLOURS[Emotion.CONTEMPT]
TURNED: Rgb = COLOURS[Emotion.ANGRY]
GAP_PX = 12
FONT_PX = 18
CROP_ZOOM = 6
# Photos in few colours: a third of the bytes, and no difference that matters here.
PALETTE = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What each stage made of a photo. boxes: (N, 4) after P-, R- and O-Net, 1-based."""

    image: RgbImage
    levels: Sequence[NDArray[np.uint8]]
    boxes: Sequence[NDArray[np.float32]]
    face: Face
    region: Region
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
    """Write the pictures of a photo with at least one face; return where they are."""
    stages = run_stages(load_image(photo, max_pixels=Settings().max_pixels))
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
    """Run the pipeline piece by piece; the pieces are the pipeline's own."""
    detector, classifier = MtcnnDetector(), load_classifier()
    search = detector.search(image, None)
    face = detector.detect(image)[0]
    region = region_of_face(face)
    return Stages(
        image=image,
        levels=levels_of(detector._cascade, image, search),
        boxes=boxes_of(detector, image, search),
        face=face,
        region=region,
        crop=crop_region(image, region, classifier.crop_size_px),
        **answer_of(Recognizer(detector=detector, model=classifier), image),
    )


def levels_of(cascade: Cascade, image: RgbImage, search: Search) -> list[NDArray[np.uint8]]:
    """Return what P-Net sees: the picture at each scale, (h, w, 3)."""
    pyramid = cascade.pyramid(image, search)
    smallest = search.min_face_size / search.shrink
    scales = pyramid_scales(pyramid.height, pyramid.width, smallest, search.factor)
    sizes = [level_size(pyramid.height, pyramid.width, scale) for scale in scales]
    return [
        to_bytes(level(0, height)[0].transpose(1, 2, 0))
        for level, (height, _) in zip(pyramid.levels(sizes), sizes, strict=True)
    ]


def boxes_of(detector: MtcnnDetector, image: RgbImage, search: Search) -> list[NDArray[np.float32]]:
    """Return the boxes that each of the three networks leaves, in the picture's own pixels."""
    cascade = detector._cascade
    table = cascade.pyramid(image, search)
    proposed = cascade.propose(table, search)
    refined = cascade.refine(table, proposed, search)
    return [proposed * search.shrink, refined * search.shrink, detector.detections(image).boxes]


def answer_of(recognizer: Recognizer, image: RgbImage) -> dict[str, object]:
    result = recognizer.analyze(image)
    return {"scores": dict(result.faces[0].scores), "annotated": result.annotate(image)}


def draw_pyramid(stages: Stages) -> Image.Image:
    """Draw the levels beside each other at their true sizes, each with its size, enlarged twice."""
    pictures = [enlarged(Image.fromarray(level), 2) for level in stages.levels]
    names = [f"{level.shape[1]} x {level.shape[0]}" for level in stages.levels]
    return in_a_row(pictures, names)


def draw_candidates(stages: Stages) -> Image.Image:
    """Draw the boxes after each network on a copy of the photo."""
    panels = []
    for boxes in stages.boxes:
        panel = stages.image.picture.copy()
        pen = ImageDraw.Draw(panel)
        for left, top, right, bottom in boxes.tolist():
            pen.rectangle((left - 1, top - 1, right - 1, bottom - 1), outline=FOUND, width=3)
        panels.append(panel.resize((320, round(320 * panel.height / panel.width))))
    names = [
        f"{network}: {len(boxes)}"
        for network, boxes in zip(("P-Net", "R-Net", "O-Net"), stages.boxes, strict=True)
    ]
    return in_a_row(panels, names)


def draw_landmarks(stages: Stages) -> Image.Image:
    """Draw the face's box, its five points and the turned square that the crop is cut from."""
    around = surroundings(stages)
    zoom = round(480 / (around[2] - around[0]))
    panel = enlarged(stages.image.picture.crop(around), zoom, smooth=True)
    pen = ImageDraw.Draw(panel)

    def here(x: float, y: float) -> tuple[float, float]:
        return (x - around[0]) * zoom, (y - around[1]) * zoom

    box = stages.face.box
    pen.rectangle((*here(box.left, box.top), *here(box.right, box.bottom)), outline=FOUND, width=3)
    corners = [here(*corner) for corner in corners_of(stages.region)]
    pen.line([*corners, corners[0]], fill=TURNED, width=3)
    for point in stages.face.landmarks.to_array().tolist() if stages.face.landmarks else ():
        x, y = here(*point)
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=POINTS, outline=DARK, width=2)
    return panel


def draw_crop(stages: Stages) -> Image.Image:
    """Draw the 48 x 48 grey pixels that the classifier gets, each as a square."""
    return enlarged(Image.fromarray(to_bytes(stages.crop * 255)), CROP_ZOOM).convert("RGB")


def draw_probabilities(scores: dict[Emotion, float]) -> Image.Image:
    """Draw a bar for each emotion, in the emotion's colour."""
    row_px, name_px, bar_px, number_px = 34, 100, 320, 80
    picture = Image.new("RGB", (name_px + bar_px + number_px, row_px * len(scores) + GAP_PX), LIGHT)
    pen = ImageDraw.Draw(picture)
    for row, (emotion, score) in enumerate(scores.items()):
        middle = GAP_PX / 2 + row_px * (row + 0.5)
        high, low = middle - row_px * 0.35, middle + row_px * 0.35
        pen.text((name_px - 10, middle), emotion, fill=DARK, font=font_of(FONT_PX), anchor="rm")
        length = max(1, bar_px * score)
        pen.rectangle((name_px, high, name_px + length, low), fill=COLOURS[emotion], outline=DARK)
        number = (name_px + bar_px + 10, middle)
        pen.text(number, chance(score, 1), fill=DARK, font=font_of(FONT_PX), anchor="lm")
    return picture


def in_a_row(pictures: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    """Return pictures beside each other on white, each above its name."""
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
    """Return a square around the crop's region, in whole pixels."""
    half = stages.region.side * 0.8
    left, top = stages.region.center_x - half, stages.region.center_y - half
    return round(left), round(top), round(left + 2 * half), round(top + 2 * half)


def corners_of(region: Region) -> list[tuple[float, float]]:
    """Return the corners of a turned square, clockwise as seen."""
    corners = np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]) * region.side / 2
    turned = corners * np.exp(1j * region.angle) + region.center_x + 1j * region.center_y
    return [(point.real, point.imag) for point in turned.tolist()]


def enlarged(picture: Image.Image, factor: int, *, smooth: bool = False) -> Image.Image:
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return picture.resize((picture.width * factor, picture.height * factor), how)


def to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
