"""Progress of a training run: a progress bar, a CSV file, TensorBoard."""

import csv
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from mien_train.errors import TrainingError

__all__ = ["CsvLog", "EpochReport", "Monitor", "ProgressLog", "StepReport", "TensorBoardLog"]

LOG_FILE = "log.csv"
TENSORBOARD_FOLDER = "tensorboard"
# TensorBoard gets a point this often; every step would only make its files large.
TENSORBOARD_EVERY_STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """Progress of a run after a step.

    step: finished steps of ``steps``; epoch: finished epochs; loss, accuracy: of the augmented
    training batches, smoothed; rate: learning rate of this step.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    accuracy: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """Metrics of one pass over the training data; a row of the CSV log.

    loss, accuracy: as in StepReport; validation_loss and the accuracies: of the averaged weights
    on PublicTest, single view; ferplus_accuracy: None where no face has a majority of votes;
    seconds: training time of the run so far.
    """

    epoch: int
    step: int
    size_px: int
    loss: float
    accuracy: float
    validation_loss: float
    ferplus_accuracy: float | None
    fer2013_accuracy: float
    rate: float
    seconds: float


class Monitor:
    """Observes a run without affecting it."""

    def begin(self, report: StepReport) -> None:
        """Called when the run starts or resumes, with its progress so far."""

    def step(self, report: StepReport) -> None:
        """Called after each step."""

    def epoch(self, report: EpochReport) -> None:
        """Called at the end of each epoch."""

    def end(self) -> None:
        """Called when the run has finished or stopped."""


class ProgressLog(Monitor):
    """A progress bar on a terminal; otherwise a line for each epoch."""

    def __init__(self, epochs: int, stream: TextIO | None = None) -> None:
        self._epochs = epochs
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._steps = (0, 0)
        self._started = 0.0
        self._validated = ""

    def begin(self, report: StepReport) -> None:
        self._steps = (report.step, report.steps)
        self._started = time.monotonic()
        self._bar = tqdm(
            total=report.steps,
            initial=report.step,
            desc=self._place(report.epoch),
            unit="step",
            file=self._stream,
            disable=None,
            dynamic_ncols=True,
        )

    def step(self, report: StepReport) -> None:
        self._bar.set_postfix_str(
            f"loss {report.loss:.3f}, accuracy {_percent(report.accuracy)}{self._validated}",
            refresh=False,
        )
        self._bar.update()

    def epoch(self, report: EpochReport) -> None:
        ferplus = report.ferplus_accuracy
        shown = report.fer2013_accuracy if ferplus is None else ferplus
        self._validated = f", PublicTest {_percent(shown)}"
        self._bar.set_description(self._place(report.epoch), refresh=False)
        tqdm.write(self._line(report), file=self._stream)
        self._stream.flush()

    def end(self) -> None:
        self._bar.close()

    def _place(self, done: int) -> str:
        return f"epoch {min(done + 1, self._epochs)}/{self._epochs}"

    def _line(self, report: EpochReport) -> str:
        ferplus = report.ferplus_accuracy
        return (
            f"epoch {report.epoch}/{self._epochs} at {report.size_px} px: "
            f"loss {report.loss:.3f}, accuracy {_percent(report.accuracy)}; "
            f"PublicTest loss {report.validation_loss:.3f}, "
            + ("" if ferplus is None else f"FER+ {_percent(ferplus)}, ")
            + f"FER2013 {_percent(report.fer2013_accuracy)}; {self._left(report.step)} left"
        )

    def _left(self, step: int) -> str:
        first, last = self._steps
        pace = (time.monotonic() - self._started) / max(1, step - first)
        return str(tqdm.format_interval(pace * (last - step)))


class CsvLog(Monitor):
    """A row for each epoch; a resumed run deletes the rows after its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG_FILE
        self._columns = [item.name for item in fields(EpochReport)]

    def begin(self, report: StepReport) -> None:
        rows: list[dict[str, str]] = []
        if self._path.exists():
            with self._path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= report.epoch]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def epoch(self, report: EpochReport) -> None:
        values = (getattr(report, column) for column in self._columns)
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(
                f"{value:.6g}" if isinstance(value, float) else value for value in values
            )


class TensorBoardLog(Monitor):
    """Curves for TensorBoard, under the run's folder.

    Raises TrainingError if TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise TrainingError("--tensorboard needs: pip install 'mien[tensorboard]'") from error
        self._make = SummaryWriter
        self._folder = folder / TENSORBOARD_FOLDER
        self._writer: Any = None

    def begin(self, report: StepReport) -> None:
        # Points after the checkpoint belong to an interrupted run; these steps are trained again.
        self._writer = self._make(str(self._folder), purge_step=report.step + 1)

    def step(self, report: StepReport) -> None:
        if report.step % TENSORBOARD_EVERY_STEPS == 0:
            for name in ("loss", "accuracy", "rate"):
                self._writer.add_scalar(f"training/{name}", getattr(report, name), report.step)

    def epoch(self, report: EpochReport) -> None:
        for name in ("validation_loss", "ferplus_accuracy", "fer2013_accuracy"):
            value = getattr(report, name)
            if value is not None:
                self._writer.add_scalar(f"PublicTest/{name}", value, report.step)
        self._writer.flush()

    def end(self) -> None:
        self._writer.close()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
