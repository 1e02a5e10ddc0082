"""Knowledge distillation: soft targets, predicted by trained models (teachers).

Source: Hinton et al. 2015, arXiv 1503.02531.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.classify.onnx import load_classifier
from mien_train.data.fer2013 import FERPLUS_LABELS, FerDataset
from mien_train.errors import TrainingError
from mien_train.evaluate import run_model, uncalibrated

__all__ = ["teach"]

Floats = NDArray[np.float32]


def teach(models: Sequence[Path], data: FerDataset) -> tuple[Floats, Floats]:
    """Return the mean probabilities of exported models, FER+ (N, 8) and FER2013 (N, 7).

    Each teacher predicts every face and its mirror image, without augmentation.
    Raises TrainingError for a model without both outputs, ArtifactError for a damaged one.
    """
    predictions = [_predict(path, data) for path in models]
    ferplus, fer2013 = (np.mean(output, axis=0) for output in zip(*predictions, strict=True))
    return ferplus, fer2013


def _predict(path: Path, data: FerDataset) -> tuple[Floats, Floats]:
    model = load_classifier(path, threads=torch.get_num_threads())
    outputs = run_model(model, data, flip=True)
    if tuple(label.value for label in model.labels) != FERPLUS_LABELS or outputs.fer2013 is None:
        raise TrainingError(f"{path}: a teacher needs an output for FER+ and one for FER2013")
    return uncalibrated(model, outputs.ferplus), uncalibrated(model, outputs.fer2013)
