"""The errors of training, with messages for users."""

__all__ = ["InterruptedRunError", "TrainingError"]


class TrainingError(Exception):
    """Training cannot continue; the message says what to fix, with file and row of wrong data."""


class InterruptedRunError(TrainingError):
    """Ctrl-C was pressed and the checkpoint is saved."""
