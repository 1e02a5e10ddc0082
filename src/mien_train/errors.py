"""The error of training, with messages for users."""


class TrainingError(Exception):
    """Training cannot continue; the message says what to fix, with file and row of wrong data."""
