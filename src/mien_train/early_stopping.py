"""Early stopping, and the best epoch so far."""

from typing import Any

from mien_train.errors import TrainingError
from mien_train.monitor import EpochReport
from mien_train.recipe import EarlyStopping

__all__ = ["Patience"]


class Patience:
    """Counts epochs without improvement; set up by a recipe's ``[early_stopping]``."""

    def __init__(self, rule: EarlyStopping) -> None:
        self._rule = rule
        self._sign = -1.0 if rule.metric.endswith("loss") else 1.0
        self._best: float | None = None
        self.best_epoch = 0
        self._epoch = 0

    @property
    def is_over(self) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        return self._epoch - self.best_epoch >= self._rule.patience

    def improved(self, report: EpochReport) -> bool:
        """Record an epoch; return whether it is the best so far.

        Raises TrainingError if the data does not have the metric.
        """
        value = getattr(report, self._rule.metric)
        if value is None:
            raise TrainingError(
                f"early stopping watches {self._rule.metric}, but PublicTest has no FER+ votes; "
                "set metric to fer2013_accuracy or validation_loss"
            )
        self._epoch = report.epoch
        gain = None if self._best is None else self._sign * (value - self._best)
        if gain is not None and gain <= self._rule.min_delta:
            return False
        self._best, self.best_epoch = value, report.epoch
        return True

    def state(self) -> dict[str, Any]:
        """Return what ``restore`` needs."""
        return {"best": self._best, "best_epoch": self.best_epoch, "epoch": self._epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``."""
        self._best, self.best_epoch = state["best"], state["best_epoch"]
        self._epoch = state["epoch"]
