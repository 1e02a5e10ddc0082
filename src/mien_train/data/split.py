"""The baseline's split, which ignores the usages in the data.

15 % of each label become PrivateTest, then 20 % of the rest as PublicTest.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien_train.data.fer2013 import FerDataset

__all__ = ["VALIDATION_SHARE", "held_back", "reference_split"]

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.2
SEED = 42


def reference_split(data: FerDataset) -> FerDataset:
    """Return the same rows with the usages of the baseline's split.

    Shares and seed are the baseline's. The selected rows differ, because they depend on the library
    that draws them.
    """
    test = held_back(data.fer2013, TEST_SHARE)
    rest = np.setdiff1d(np.arange(len(data)), test)
    validation = rest[held_back(data.fer2013[rest], VALIDATION_SHARE)]
    usage = np.full(len(data), "Training", dtype="<U11")
    usage[test] = "PrivateTest"
    usage[validation] = "PublicTest"
    return replace(data, usage=usage)


def held_back(labels: NDArray[np.int64], share: float) -> NDArray[np.intp]:
    """Return sorted positions of a share of each label's rows, the same ones every time."""
    random = np.random.default_rng(SEED)
    chosen = [np.empty(0, dtype=np.intp)]
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        chosen.append(rows[: round(share * len(rows))])
    return np.sort(np.concatenate(chosen))
