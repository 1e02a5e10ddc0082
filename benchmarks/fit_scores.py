"""Fit the probability that a proposal of YuNet's is a face: the numbers in mien.detect.yunet.

    python -m benchmarks.fit_scores FOLDER...

FOLDER holds photos and boxes.json (see recall.py). Logistic regression on the logit of YuNet's
score and on O-Net's. Prints the weights fitted on all photos, then precision and recall at several
thresholds, each photo scored by weights fitted without it and its fold.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recall import HEIGHTS_PX, outcome, photos_of, precision, recall
from mien.detect.levels import search
from mien.detect.yunet import POSSIBLE, PROPOSED, YunetDetector

FOLDS = 5
THRESHOLDS = (0.6, 0.65, 0.7, 0.75)
RIDGE = 1e-2

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    photos = [photo for folder in arguments.folders for photo in photos_of(folder)]
    detector = YunetDetector()
    boxes, features, right = [], [], []
    for photo in photos:
        image = photo.image
        rows = search(image, detector.propose, None, PROPOSED, possible=POSSIBLE)
        boxes.append(rows[:, 1:5])
        features.append(np.c_[detector.logits(image, rows), np.ones(len(rows))])
        right.append(outcome(photo, rows[:, 1:5]).verdicts)
    weights = fitted(np.concatenate(features), np.concatenate(right))
    print("YUNET, ONET, BIAS =", ", ".join(f"{weight:.2f}" for weight in weights))
    folds = np.random.default_rng(0).integers(0, FOLDS, len(photos))
    scores: list[Floats] = [np.empty(0)] * len(photos)
    for fold in range(FOLDS):
        train = np.flatnonzero(folds != fold)
        weights = fitted(*(np.concatenate([part[i] for i in train]) for part in (features, right)))
        for i in np.flatnonzero(folds == fold):
            scores[i] = 1 / (1 + np.exp(-features[i] @ weights))
    print(f"score  precision  {'  '.join(f'>= {height} px' for height in HEIGHTS_PX)}")
    for threshold in THRESHOLDS:
        outcomes = []
        for photo, found, score in zip(photos, boxes, scores, strict=True):
            order = np.argsort(-score, kind="stable")
            outcomes.append(outcome(photo, found[order][score[order] >= threshold]))
        recalls = "".join(f"{recall(outcomes, height):10.3f}" for height in HEIGHTS_PX)
        print(f"{threshold:5.2f}  {precision(outcomes):9.3f}{recalls}")


def fitted(features: Floats, right: Floats) -> Floats:
    """Return the weights of a logistic regression, by Newton's method; NaN does not count."""
    counts = ~np.isnan(right)
    features, right = features[counts], right[counts]
    weights = np.zeros(features.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-features @ weights))
        gradient = features.T @ (chance - right) + RIDGE * weights
        curvature = (features.T * (chance * (1 - chance))) @ features
        weights -= np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
    return weights


if __name__ == "__main__":
    main()
