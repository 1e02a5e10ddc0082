"""Errors of training, with messages for users."""


class TrainingError(Exception):
    """Training cannot continue; the message says what to fix."""


class DataError(TrainingError):
    """A data file is not what was expected; the message names file and row."""


class KerasFileError(TrainingError):
    """A .keras file can't be read, or its model does not have the baseline's architecture."""


class RecipeError(TrainingError):
    """A recipe has an unknown key or a value out of range."""
