"""How often the prediction stays the same if photos are rotated or resized, or boxes shifted.

    python -m benchmarks.consistency FOLDER

For every face of at least 60 pixels in the photos of FOLDER, three ways to cut are compared:
the box itself (drawn out to a square), a square with the template's margin around the box, and
aligned by landmarks, which is what mien does. A patch around the face is turned or resized and goes
through detection again; for the last row the box's edges are moved by up to a tenth of its height
and the landmarks by a fiftieth instead.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.classify.crop import Square, square_of_face
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.detect import FaceDetector
from mien.detect.registry import DEFAULT_DETECTOR, build_detector
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.types import Box, Face, Landmarks, RgbImage

MIN_HEIGHT_PX = 60
ANGLES = (-30, -15, 15, 30)
SIZES = (0.5, 0.75, 1.5, 2.0)
JITTERS = 4
# Margin on each side as a share of the face's height, so that a rotated patch has the whole face.
PATCH_MARGIN = 1.0


def box_itself(face: Face) -> Square:
    """Return the square with the box's center and area."""
    return _square_around(face.box, math.sqrt(face.box.area))


def box_with_margin(face: Face) -> Square:
    """Return the square that mien crops without landmarks."""
    return square_of_face(replace(face, landmarks=None))


CROPS: dict[str, Callable[[Face], Square]] = {
    "box": box_itself,
    "margin": box_with_margin,
    "aligned": square_of_face,
}
# A face in its image.
Seen = tuple[RgbImage, Face]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector", default=DEFAULT_DETECTOR)
    arguments = parser.parse_args()
    detector, classifier = build_detector(arguments.detector), load_classifier()
    changes: dict[str, list[dict[str, bool]]] = {}
    for patch in patches(arguments.folder, detector):
        before = predictions(patch, classifier)
        for name, seen in variants(patch, detector):
            after = predictions(seen, classifier)
            changes.setdefault(name, []).append({k: before[k] == after[k] for k in CROPS})
    print(f"{'same prediction':16} {'pairs':>6}", *(f"{name:>8}" for name in CROPS))
    for name, kept in changes.items():
        shares = (np.mean([same[crop] for same in kept]) for crop in CROPS)
        print(f"{name:16} {len(kept):6}", *(f"{share:8.3f}" for share in shares))


def patches(folder: Path, detector: FaceDetector) -> Iterator[Seen]:
    """Yield each face with the part of the photo around it, as found in that part."""
    for path in sorted(folder.rglob("*.jpg")):
        image = load_image(path, max_pixels=MAX_PIXELS)
        for face in detector.detect(image):
            if face.box.height >= MIN_HEIGHT_PX:
                seen = _found(_around(image, face.box), face.box.height, detector)
                if seen is not None:
                    yield seen


def variants(patch: Seen, detector: FaceDetector) -> Iterator[tuple[str, Seen]]:
    """Yield the name of each change with the face as it is then; not where it is not found."""
    image, face = patch
    picture = image.picture
    mean = tuple(int(value) for value in image.pixels.mean(axis=(0, 1)))
    for angle in ANGLES:
        turned = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=mean)
        yield from _named(f"turned by {abs(angle)}", turned, face.box.height, detector)
    for size in SIZES:
        sides = (round(image.width * size), round(image.height * size))
        resized = picture.resize(sides, Image.Resampling.LANCZOS)
        yield from _named(f"resized by {size:g}", resized, face.box.height * size, detector)
    random = np.random.default_rng(0)
    for _ in range(JITTERS):
        yield "jittered", (image, _jittered(face, random))


def predictions(seen: Seen, classifier: OnnxClassifier) -> dict[str, int]:
    """Return the emotion, as a position among the six, for each way to cut."""
    image, face = seen
    squares = [cut(face) for cut in CROPS.values()]
    crops = classifier.crop.crops(image, squares)
    six = narrow(classifier.predict(crops), classifier.labels, LabelSet.SIX.emotions)
    return dict(zip(CROPS, six.argmax(axis=1).tolist(), strict=True))


def _named(
    name: str, picture: Image.Image, height: float, detector: FaceDetector
) -> Iterator[tuple[str, Seen]]:
    seen = _found(np.asarray(picture), height, detector)
    if seen is not None:
        yield name, seen


def _found(pixels: NDArray[np.uint8], height: float, detector: FaceDetector) -> Seen | None:
    """Return the face in the middle of a patch, None if it isn't found."""
    image = RgbImage(np.ascontiguousarray(pixels))
    for face in detector.detect(image):
        gap = max(
            abs(face.box.left + face.box.right - image.width),
            abs(face.box.top + face.box.bottom - image.height),
        )
        if gap / 2 < height / 3 and 0.6 < face.box.height / height < 1.6:
            return image, face
    return None


def _around(image: RgbImage, box: Box) -> NDArray[np.uint8]:
    """Return the square patch around a box; outside the image, border pixels are repeated."""
    half = round(box.height * (0.5 + PATCH_MARGIN))
    x, y = round((box.left + box.right) / 2), round((box.top + box.bottom) / 2)
    rows = np.clip(np.arange(y - half, y + half), 0, image.height - 1)
    columns = np.clip(np.arange(x - half, x + half), 0, image.width - 1)
    return image.pixels[rows][:, columns]


def _jittered(face: Face, random: np.random.Generator) -> Face:
    height = face.box.height
    left, top, right, bottom = random.uniform(-0.1, 0.1, 4) * height
    box = Box(
        left=face.box.left + left,
        top=face.box.top + top,
        right=face.box.right + right,
        bottom=face.box.bottom + bottom,
    )
    points = face.landmarks
    if points is not None:
        moved = points.to_array() + random.uniform(-0.02, 0.02, (5, 2)) * height
        points = Landmarks(*map(tuple, moved))
    return replace(face, box=box, landmarks=points)


def _square_around(box: Box, side: float) -> Square:
    return Square(
        center_x=(box.left + box.right) / 2, center_y=(box.top + box.bottom) / 2, side=side
    )


if __name__ == "__main__":
    main()
