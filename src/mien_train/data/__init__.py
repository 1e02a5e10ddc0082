"""Training data as arrays: of FER2013 and FER+ files, a folder tree or a packed file."""

from pathlib import Path

from mien_train.data.fer2013 import FerDataset, load_fer2013
from mien_train.data.packed import load_packed
from mien_train.data.split import reference_split
from mien_train.data.tree import is_tree, load_tree

__all__ = ["FerDataset", "load_data", "load_fer2013"]


def load_data(path: Path, split: str) -> FerDataset:
    """Read a packed file, a folder tree or FER2013's files.

    Usages are the data's own, or the baseline's split. Raises TrainingError as ``load_packed``,
    ``load_tree`` and ``load_fer2013`` do.
    """
    if path.is_file():
        data = load_packed(path)
    else:
        data = load_tree(path) if is_tree(path) else load_fer2013(path)
    return reference_split(data) if split == "reference" else data
