"""Close-ups without a face: photos that one face fills, at several sizes, cut, and with grain.

    python -m benchmarks.closeups FOLDER

FOLDER holds JPEG files that each show one face. For each detector the number of photos in which it
finds none: as they are, cut to the box of its own best face, brought to four longer sides, and
brought to ``NOISY_PX`` with grain.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.synthetic import resized
from mien.detect import FaceDetector
from mien.detect.registry import DETECTORS, build_detector
from mien.image import load_image
from mien.recognizer import MAX_PIXELS
from mien.types import RgbImage

LONGER_SIDES_PX = (100, 350, 1000, 3000)
# Grain of 2 x 2 pixels; its standard deviation, of 255.
NOISY_PX, GRAIN_PX, GRAIN = 1280, 2, 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), metavar="NAME")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo only")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.jpg"))[:: arguments.every]
    print(f"{len(paths)} photos, of which without a face")
    print(f"{'':12}   as is  cut", *(f"{side:>6} px" for side in LONGER_SIDES_PX), "  grain")
    for name in arguments.detectors:
        detector = build_detector(name)
        missed = [missed_in(detector, path) for path in paths]
        print(f"{name:12}", *(f"{sum(column):8}" for column in zip(*missed, strict=True)))


def missed_in(detector: FaceDetector, path: Path) -> list[bool]:
    """Return whether no face is found in each view of a photo, in the order of the columns."""
    image = load_image(path, max_pixels=MAX_PIXELS)
    views = [resized(image.picture, side) for side in LONGER_SIDES_PX]
    views.append(with_grain(resized(image.picture, NOISY_PX)))
    faces = detector.detect(image)
    if faces:
        best = max(faces, key=lambda face: face.score)
        x, y, width, height = best.box.to_pixels(image.width, image.height)
        views.insert(0, image.picture.crop((x, y, x + width, y + height)))
        missed = [not detector.detect(RgbImage(view)) for view in views]
    else:
        missed = [True, *(not detector.detect(RgbImage(view)) for view in views)]
    return [not faces, *missed]


def with_grain(picture: Image.Image) -> Image.Image:
    """Return a picture with the same grain at each call."""
    shape = [-(-side // GRAIN_PX) for side in picture.size[::-1]]
    grain = np.random.default_rng(0).normal(0, GRAIN, shape)
    grain = grain.repeat(GRAIN_PX, axis=0).repeat(GRAIN_PX, axis=1)[..., np.newaxis]
    noisy = np.asarray(picture) + grain[: picture.height, : picture.width]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
