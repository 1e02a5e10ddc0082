"""Faces found in photos of 2 and of 12 megapixels, put together from 2 and 12 photos each.

    python -m benchmarks.mosaics FOLDER ...

Each FOLDER holds photos and boxes.json (see recall.py). The longer side of a photo is reduced to
1000 pixels, so its faces are small in the mosaic, as those of a crowd are.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.recall import HEIGHTS_PX, Photo, outcome, photos_of, precision, recall
from mien import Recognizer
from mien.types import RgbImage

# Columns and rows of a mosaic.
GRIDS = ((2, 1), (4, 3))
SIDE_PX = 1000
GREY = (118, 112, 105)
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
    photos = [photo for folder in arguments.folders for photo in photos_of(folder)]
    for columns, rows in GRIDS:
        print_table(list(mosaics_of(photos, columns, rows)))


def print_table(mosaics: Sequence[Photo]) -> None:
    """Print precision and recall for each recognizer."""
    faces = sum(int(mosaic.counted.sum()) for mosaic in mosaics)
    width, height = mosaics[0].image.width, mosaics[0].image.height
    print(f"{len(mosaics)} photos of {width} x {height} pixels, {faces:,} faces")
    print(f"| detector | precision | {' | '.join(f'>= {px} px' for px in HEIGHTS_PX)} |")
    print(f"|{'---|' * (2 + len(HEIGHTS_PX))}")
    for name, options in RECOGNIZERS.items():
        recognizer = Recognizer(**options)
        outcomes = []
        for mosaic in mosaics:
            found = sorted(recognizer.analyze(mosaic.image), key=lambda face: -face.detection)
            boxes = np.array([face.box.xyxy for face in found]).reshape(-1, 4)
            outcomes.append(outcome(mosaic, boxes))
        shares = [precision(outcomes), *(recall(outcomes, px) for px in HEIGHTS_PX)]
        print(f"| {name} | {' | '.join(f'{share:.3f}' for share in shares)} |", flush=True)


def mosaics_of(photos: Sequence[Photo], columns: int, rows: int) -> Iterator[Photo]:
    """Yield mosaics of photos, which are in random order."""
    order = np.random.default_rng(0).permutation(len(photos))
    tiles = columns * rows
    for at in range(0, len(order) - tiles + 1, tiles):
        canvas = Image.new("RGB", (columns * SIDE_PX, rows * SIDE_PX), GREY)
        boxes, counted = [], []
        for place, index in enumerate(order[at : at + tiles]):
            photo = photos[index]
            corner = place % columns * SIDE_PX, place // columns * SIDE_PX
            scale = min(SIDE_PX / photo.image.width, SIDE_PX / photo.image.height, 1)
            size = round(photo.image.width * scale), round(photo.image.height * scale)
            canvas.paste(photo.image.picture.resize(size, Image.Resampling.LANCZOS), corner)
            boxes.append(photo.boxes * scale + np.tile(corner, 2))
            counted.append(photo.counted)
        yield Photo(Path(), RgbImage(canvas), np.concatenate(boxes), np.concatenate(counted))


if __name__ == "__main__":
    main()
