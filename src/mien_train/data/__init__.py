"""Training data: FER2013 and FER+ files, or a folder tree, as arrays."""

from pathlib import Path

from mien_train.data.fer2013 import FerDataset, load_fer2013
from mien_train.data.split import reference_split
from mien_train.data.tree import is_tree, load_tree

__all__ = ["FerDataset", "load_data", "load_fer2013"]


def load_data(folder: Path, split: str) -> FerDataset:
    """Read a folder tree or FER2013's files, with their own usages or the reference's split.

    Raises DataError as ``load_tree`` and ``load_fer2013`` do.
    """
    data = load_tree(folder) if is_tree(folder) else load_fer2013(folder)
    return reference_split(data) if split == "reference" else data
