"""What can go wrong in training, for people to read."""


class TrainingError(Exception):
    """The training half cannot go on; the message says what to mend."""


class DataError(TrainingError):
    """A data file is not what was expected; the message names file and row."""


class KerasFileError(TrainingError):
    """A .keras file can't be read, or its model is not of the reference's shape."""


class RecipeError(TrainingError):
    """A recipe has an unknown key or a value out of range."""
