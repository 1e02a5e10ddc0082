"""Near-duplicates between training and test: FER2013 has the same photos in both."""

import numpy as np
from numpy.typing import NDArray

from mien_train.data.fer2013 import SIDE

__all__ = ["has_twin"]

# Faces are compared at this side; a twin correlates more than this.
SMALL = 16
CORRELATION = 0.98
BATCH = 512


def has_twin(faces: NDArray[np.uint8], train: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (N,): whether ``train`` (M, 48, 48) has a nearly identical face."""
    known = _standardized(train)
    batches = [_standardized(faces[at : at + BATCH]) for at in range(0, len(faces), BATCH)]
    return np.concatenate([(batch @ known.T).max(axis=1) > CORRELATION for batch in batches])


def _standardized(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return small faces as rows (N, 256) whose products are correlations."""
    step = SIDE // SMALL
    small = faces.reshape(-1, SMALL, step, SMALL, step).mean(axis=(2, 4), dtype=np.float32)
    rows = small.reshape(len(faces), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    standardized: NDArray[np.float32] = rows / np.maximum(lengths, 1e-6)
    return standardized
