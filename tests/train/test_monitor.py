import io
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mien_train import cli
from mien_train.errors import TrainingError
from mien_train.monitor import CsvLog, EpochReport, ProgressLog, StepReport, TensorBoardLog


def step(at: int, of: int = 4) -> StepReport:
    return StepReport(step=at, steps=of, epoch=at // 2, loss=1.25, accuracy=0.5, rate=1e-3)


def epoch(number: int, ferplus: float | None = 0.625) -> EpochReport:
    return EpochReport(
        epoch=number,
        step=2 * number,
        size_px=48,
        loss=1.25,
        accuracy=0.5,
        validation_loss=1.5,
        ferplus_accuracy=ferplus,
        fer2013_accuracy=0.375,
        rate=1e-3,
        seconds=10.0,
    )


def watched(stream: io.StringIO, ferplus: float | None = 0.625) -> str:
    log = ProgressLog(2, stream)
    log.begin(step(0))
    for number in (1, 2):
        log.step(step(2 * number - 1))
        log.step(step(2 * number))
        log.epoch(epoch(number, ferplus))
    log.end()
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_per_epoch() -> None:
    lines = watched(io.StringIO()).splitlines()
    assert lines == [
        "epoch 1/2 at 48 px: loss 1.250, accuracy 50.0 %; PublicTest loss 1.500, FER+ 62.5 %, "
        "FER2013 37.5 %; 00:00 left",
        "epoch 2/2 at 48 px: loss 1.250, accuracy 50.0 %; PublicTest loss 1.500, FER+ 62.5 %, "
        "FER2013 37.5 %; 00:00 left",
    ]
    assert "FER+" not in watched(io.StringIO(), ferplus=None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("ferplus", "shown"), [(0.625, "62.5 %"), (None, "37.5 %")])
def test_on_a_terminal_there_is_a_bar(ferplus: float | None, shown: str) -> None:
    text = watched(Terminal(), ferplus)
    assert "epoch 1/2" in text
    assert "4/4" in text
    assert f"loss 1.250, accuracy 50.0 %, PublicTest {shown}" in text
    assert "epoch 2/2 at 48 px" in text


def test_the_csv_log_drops_rows_after_the_checkpoint(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "run")
    log.begin(step(0))
    for number in (1, 2, 3):
        log.epoch(epoch(number, None if number == 2 else 0.5))
    log = CsvLog(tmp_path / "run")
    log.begin(step(4, 8))
    log.epoch(epoch(3))
    log.end()
    rows = [line.split(",") for line in (tmp_path / "run" / "log.csv").read_text().splitlines()]
    assert rows[0][:3] == ["epoch", "step", "size_px"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert rows[2] == ["2", "4", "48", "1.25", "0.5", "1.5", "", "0.375", "0.001", "10"]


def test_an_older_log_gets_the_current_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,loss,old\n1,2.5,x\n")
    CsvLog(tmp_path).begin(step(2))
    header, row = (tmp_path / "log.csv").read_text().splitlines()
    assert "old" not in header
    assert row == "1,,,2.5,,,,,,"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_can_read_the_curves(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path)
    log.begin(step(0, 100))
    for at in range(1, 41):
        log.step(step(at, 100))
    log.epoch(epoch(1))
    log.epoch(epoch(2, ferplus=None))
    log.end()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("training/loss")] == [20, 40]
    assert [event.value for event in read.Scalars("PublicTest/ferplus_accuracy")] == [0.625]
    assert len(read.Scalars("PublicTest/fer2013_accuracy")) == 2


def test_without_tensorboard_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match="pip install"):
        TensorBoardLog(tmp_path)
    arguments = ["train", "lite0-ferplus", "--data", str(tmp_path), "--tensorboard"]
    assert cli.main(arguments) == 1
    assert "mien[tensorboard]" in capsys.readouterr().err
