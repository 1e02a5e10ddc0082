"""FER2013 faces with their labels, read from the published files."""

from mien_train.data.fer2013 import FerDataset, load_fer2013

__all__ = ["FerDataset", "load_fer2013"]
