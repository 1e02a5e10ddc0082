"""Where a detector finds the landmarks in FER2013's faces: the template in ``mien.classify.crop``.

    .venv-dev/bin/python tools/measure_fer2013_template.py ../shared/data/fer2013 [--detector NAME]

Training faces are enlarged three times and given a border, so that the detector sees a small
photo; medians are printed, as shares of the side.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mien.detect.registry import DETECTORS, build_detector
from mien.types import RgbImage
from mien_train.data.fer2013 import SIDE, load_fer2013

ENLARGED = 3
BORDER_PX = 36
MIN_FACE_PX = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with fer2013.csv or fer2013.csv.gz")
    parser.add_argument("--faces", type=int, default=2000)
    parser.add_argument("--detector", choices=DETECTORS, default="mtcnn")
    arguments = parser.parse_args()
    faces = load_fer2013(arguments.data).split("Training").faces
    chosen = np.random.default_rng(0).permutation(len(faces))[: arguments.faces]
    detector = build_detector(arguments.detector)
    found = []
    for face in faces[chosen]:
        detected = detector.detect(_photo(face), min_face_size=MIN_FACE_PX)
        if detected and (landmarks := detected[0].landmarks):
            box = detected[0].box
            points = [*landmarks.to_array(), (box.left, box.top), (box.right, box.bottom)]
            found.append((np.array(points) - BORDER_PX) / (SIDE * ENLARGED))
    shares = np.array(found)
    print(f"{len(shares)} of {len(chosen)} faces found")
    names = (
        "left eye",
        "right eye",
        "nose",
        "mouth left",
        "mouth right",
        "top left",
        "bottom right",
    )
    for name, median, spread in zip(names, np.median(shares, 0), shares.std(0), strict=True):
        print(f"{name:12} x {median[0]:.3f}  y {median[1]:.3f}  (spread {spread.mean():.3f})")
    heights = shares[:, 6, 1] - shares[:, 5, 1]
    print(f"side / box height: {np.median(1 / heights):.3f}")


def _photo(face: np.ndarray) -> RgbImage:
    side = SIDE * ENLARGED
    large = np.array(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    return RgbImage(np.repeat(np.pad(large, BORDER_PX, mode="edge")[:, :, None], 3, axis=2))


if __name__ == "__main__":
    main()
