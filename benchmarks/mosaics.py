"""Faces found in photos of 12 megapixels, which are put together from 12 photos each.

    python -m benchmarks.mosaics FOLDER ...

Each FOLDER holds photos and boxes.json (see recall.py). The longer side of a photo is reduced to
1000 pixels, so its faces are small in the mosaic, as those of a crowd are.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.recall import Photo, outcome, photos_of, precision, recall
from mien import Recognizer
from mien.types import RgbImage

COLUMNS, ROWS, SIDE_PX = 4, 3, 1000
GREY = (118, 112, 105)
HEIGHTS_PX = (20, 40, 80)
RECOGNIZERS = {
    "`yunet`": {},
    "`yunet`, `min_face_size=32`": {"min_face_size": 32},
    "`centerface`": {"detector": "centerface"},
    "`mtcnn`": {"detector": "mtcnn"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    arguments = parser.parse_args()
    mosaics = list(mosaics_of([p for folder in arguments.folders for p in photos_of(folder)]))
    faces = sum(int(mosaic.counted.sum()) for mosaic in mosaics)
    print(f"{len(mosaics)} mosaics, {faces:,} faces")
    print(f"| detector | precision | {' | '.join(f'>= {px} px' for px in HEIGHTS_PX)} |")
    print(f"|{'---|' * (2 + len(HEIGHTS_PX))}")
    for name, options in RECOGNIZERS.items():
        recognizer = Recognizer(**options)
        outcomes = []
        for mosaic in mosaics:
            found = sorted(recognizer.analyze(mosaic.image), key=lambda face: -face.detection)
            boxes = np.array([face.box.xyxy for face in found]).reshape(-1, 4)
            outcomes.append(outcome(mosaic, boxes))
        columns = [precision(outcomes), *(recall(outcomes, px) for px in HEIGHTS_PX)]
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in columns)} |", flush=True)


def mosaics_of(photos: Sequence[Photo]) -> Iterator[Photo]:
    """Yield photos of 4000 x 3000 pixels, each made of 12 photos in random order."""
    order = np.random.default_rng(0).permutation(len(photos))
    tiles = COLUMNS * ROWS
    for at in range(0, len(order) - tiles + 1, tiles):
        canvas = Image.new("RGB", (COLUMNS * SIDE_PX, ROWS * SIDE_PX), GREY)
        boxes, counted = [], []
        for place, index in enumerate(order[at : at + tiles]):
            photo = photos[index]
            corner = place % COLUMNS * SIDE_PX, place // COLUMNS * SIDE_PX
            scale = min(SIDE_PX / photo.image.width, SIDE_PX / photo.image.height, 1)
            size = round(photo.image.width * scale), round(photo.image.height * scale)
            canvas.paste(photo.image.picture.resize(size, Image.Resampling.LANCZOS), corner)
            boxes.append(photo.boxes * scale + np.tile(corner, 2))
            counted.append(photo.counted)
        yield Photo(Path(), RgbImage(canvas), np.concatenate(boxes), np.concatenate(counted))


if __name__ == "__main__":
    main()
