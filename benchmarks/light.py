"""How well faces are read in dark and pale photos, with and without stretching their crops.

    python -m benchmarks.light FOLDER [--model MODEL]

FOLDER holds photos and labels.csv, as for `mien-train evaluate --photos`. Faces are located in the
photo as it is, so that only what is read from the crop changes with the light.
"""

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from mien.classify import crop
from mien.classify.labels import LabelSet, narrow
from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.types import Face, RgbImage
from mien_train.photos import SIX, located

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
    for image, face, labeled in located(arguments.folder):
        random.append(labeled.is_random)
        for light, (factor, offset) in LIGHTS.items():
            changed = RgbImage((image.pixels * factor + offset).round().astype(np.uint8))
            for name, flat in STRETCHED.items():
                with patch.object(crop, "FLAT", flat):
                    label = prediction(changed, face, classifier)
                right.setdefault((light, name), []).append(label == labeled.label)
    print(f"{'accuracy':12} {'crops':10} {'random':>7} {'all':>7}   {len(random)} faces")
    for (light, name), hits in right.items():
        every = np.array(hits)
        print(f"{light:12} {name:10} {every[np.array(random)].mean():7.3f} {every.mean():7.3f}")


def prediction(image: RgbImage, face: Face, classifier: OnnxClassifier) -> str:
    """Return what the face is called."""
    crops = classifier.crop.crops(image, [crop.square_of_face(face, classifier.crop.template)])
    scores: NDArray[np.float32] = narrow(
        classifier.predict(crops), classifier.labels, LabelSet.SIX.emotions
    )
    return SIX[int(scores[0].argmax())]


if __name__ == "__main__":
    main()
