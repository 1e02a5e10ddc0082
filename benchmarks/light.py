"""How well faces are read in dark and pale photos, with and without stretching their crops.

    python -m benchmarks.light FOLDER [--model MODEL]

FOLDER holds photos and labels.csv, as for `mien-train evaluate --photos`. Faces are located in the
photo as it is, so that only what is read from the crop changes with the light.
"""

import argparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from mien.classify import crop
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.detect.registry import DEFAULT_DETECTOR, build_detector
from mien.geometry import intersection_over_union
from mien.image import load_image
from mien.types import Face, RgbImage
from mien_train.photos import MIN_OVERLAP, SIX, LabelledFace, load_labels

MAX_PIXELS = 50_000_000
# What a light does to a grey level of 0 to 255: factor and offset.
LIGHTS = {"as it is": (1.0, 0), "x 0.15": (0.15, 0), "x 0.3 + 140": (0.3, 140)}
STRETCHED = {"plain": 0.0, "stretched": crop.FLAT}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    classifier = load_classifier(arguments.model)
    right: dict[tuple[str, str], list[bool]] = {}
    random: list[bool] = []
    for image, face, labelled in found(arguments.folder):
        random.append(labelled.is_random)
        for light, (factor, offset) in LIGHTS.items():
            changed = RgbImage((image.pixels * factor + offset).round().astype(np.uint8))
            for name, flat in STRETCHED.items():
                with patch.object(crop, "FLAT", flat):
                    label = answer(changed, face, classifier)
                right.setdefault((light, name), []).append(label == labelled.label)
    print(f"{'accuracy':12} {'crops':10} {'random':>7} {'all':>7}   {len(random)} faces")
    for (light, name), hits in right.items():
        every = np.array(hits)
        print(f"{light:12} {name:10} {every[np.array(random)].mean():7.3f} {every.mean():7.3f}")


def found(folder: Path) -> Iterator[tuple[RgbImage, Face, LabelledFace]]:
    """Yield each labelled face that is found, as detected, with its photo."""
    detector = build_detector(DEFAULT_DETECTOR)
    for file, group in groupby(load_labels(folder), key=lambda face: face.file):
        image = load_image(folder / file, max_pixels=MAX_PIXELS)
        faces = detector.detect(image)
        boxes = np.array([sides(face) for face in faces]).reshape(-1, 4)
        for labelled in group:
            overlaps = intersection_over_union(np.array([labelled.box]), boxes)[0]
            if len(faces) and overlaps.max() >= MIN_OVERLAP:
                yield image, faces[int(overlaps.argmax())], labelled


def sides(face: Face) -> tuple[float, float, float, float]:
    return face.box.left, face.box.top, face.box.right, face.box.bottom


def answer(image: RgbImage, face: Face, classifier: OnnxClassifier) -> str:
    """Return what the face is called."""
    crops = classifier.crop.crops(image, [crop.region_of_face(face)])
    scores: NDArray[np.float32] = narrow(
        classifier.predict(crops), classifier.labels, LabelSet.SIX.emotions
    )
    return SIX[int(scores[0].argmax())]


if __name__ == "__main__":
    main()
