"""The training loop: stop and go on, early stopping, devices, what it refuses."""

import shlex
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien_train import checkpoint, cli, cli_training, device
from mien_train.data.fer2013 import FerDataset, load_fer2013
from mien_train.early_stopping import Patience
from mien_train.errors import InterruptedRunError, TrainingError
from mien_train.models import Classifier
from mien_train.monitor import CsvLog, EpochReport, Monitor, ProgressLog, StepReport
from mien_train.recipe import EarlyStopping, Phase, Recipe
from mien_train.train import Trainer

RECIPE = Recipe(
    name="short",
    backbone="efficientnet-lite0",
    batch=8,
    phases=(Phase(size_px=32, epochs=2, rate=2e-3), Phase(size_px=48, epochs=1, rate=1e-3)),
)


@pytest.fixture(scope="module")
def faces(fer_folder: Path) -> FerDataset:
    return load_fer2013(fer_folder)


def trainer(faces: FerDataset, folder: Path, recipe: Recipe = RECIPE, **options: Any) -> Trainer:
    """A run of two batches an epoch."""
    train = faces.split("Training").rows(np.arange(16))
    return Trainer(recipe, train, faces.split("PublicTest"), folder, **options)


class After(Monitor):
    """Calls a function after a step."""

    def __init__(self, step: int, call: Callable[[], object]) -> None:
        self._step, self._call = step, call

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            self._call()


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def straight(faces: FerDataset, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that nothing stops."""
    folder = tmp_path_factory.mktemp("straight")
    run = trainer(faces, folder, monitors=[CsvLog(folder)])
    run.run()
    return run


@pytest.mark.parametrize("stop_after", [1, 2, 5])
def test_a_resumed_run_is_bit_identical(
    straight: Trainer, faces: FerDataset, tmp_path: Path, stop_after: int
) -> None:
    first = trainer(faces, tmp_path, monitors=[CsvLog(tmp_path), After(stop_after, ctrl_c)])
    with pytest.raises(InterruptedRunError, match=f"after step {stop_after}"):
        first.run()
    second = trainer(faces, tmp_path, monitors=[CsvLog(tmp_path)])
    second.resume()
    assert second.step == stop_after
    second.run()
    for kind in ("model", "average"):
        ours, theirs = getattr(second, kind).state_dict(), getattr(straight, kind).state_dict()
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name
    assert second.loss == straight.loss
    logs = [
        [line.rsplit(",", 1)[0] for line in (path / "log.csv").read_text().splitlines()]
        for path in (tmp_path, straight.folder)
    ]
    assert logs[0] == logs[1], "all columns but the seconds"


def test_an_interrupt_in_the_last_step_finishes_the_run(faces: FerDataset, tmp_path: Path) -> None:
    run = trainer(faces, tmp_path, monitors=[After(6, ctrl_c)])
    run.run()
    assert run.is_done


def test_a_killed_run_resumes_from_its_last_checkpoint(faces: FerDataset, tmp_path: Path) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    killed = trainer(faces, tmp_path)
    killed.monitors = [CsvLog(tmp_path), After(3, killed.save), After(5, die)]
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3, "header and two epochs"
    again = trainer(faces, tmp_path, monitors=[CsvLog(tmp_path)])
    again.resume()
    again.run()
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3"]


def test_checkpoints_come_while_it_runs(
    faces: FerDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien_train.train.CHECKPOINT_EVERY_S", 0.0)
    run = trainer(faces, tmp_path)
    steps = []
    monkeypatch.setattr(run, "save", lambda *_: steps.append(run.step))
    run.run()
    assert steps == [1, 2, 3, 4, 5, 6, 6]


def test_ctrl_c_prints_how_to_resume(
    fer_folder: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(recipe_file), "--data", str(fer_folder), "--out", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressLog, "step", lambda *_: ctrl_c())
        assert cli.main(arguments) == 130
        message = capsys.readouterr().err
        command = shlex.split(message.splitlines()[-1])
        assert command == ["mien-train", *arguments, "--resume"]
        assert "stopped after step 1, saved in" in message
        assert cli.main(command[1:]) == 130
    assert "stopped after step 2" in capsys.readouterr().err


def test_a_second_ctrl_c_does_not_wait(faces: FerDataset, tmp_path: Path) -> None:
    run = trainer(faces, tmp_path, monitors=[After(1, ctrl_c), After(1, ctrl_c)])
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert not run.checkpoint_path.exists()


def test_ctrl_c_before_training_is_no_traceback(
    fer_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> FerDataset:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_training, "load_data", interrupted)
    assert cli.main(["train", "lite0-ferplus", "--data", str(fer_folder)]) == 130
    assert capsys.readouterr().err == "mien-train: stopped\n"


def test_a_second_run_does_not_overwrite_the_first(
    fer_folder: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    arguments = ["train", str(recipe_file), "--data", str(fer_folder), "--out", str(tmp_path)]
    assert cli.main(arguments) == 1
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such checkpoint"), (b"", "not a checkpoint"), (b"PK\x03\x04", "not a checkpoint")],
)
def test_resume_needs_a_checkpoint(
    faces: FerDataset, tmp_path: Path, content: bytes | None, message: str
) -> None:
    run = trainer(faces, tmp_path)
    if content is not None:
        run.checkpoint_path.write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        run.resume()


def test_a_file_of_tensors_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(TrainingError, match="not a checkpoint of mien-train"):
        checkpoint.read_checkpoint(tmp_path / "other.pt")


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"old")
    path.with_suffix(".partial").mkdir()
    with pytest.raises(TrainingError, match="cannot be written"):
        checkpoint.write_checkpoint(path, {})
    assert path.read_bytes() == b"old"


def test_resume_refuses_another_recipe_or_data(faces: FerDataset, tmp_path: Path) -> None:
    trainer(faces, tmp_path).save()
    with pytest.raises(TrainingError, match="another ema, seed in the recipe"):
        trainer(faces, tmp_path, replace(RECIPE, seed=1, ema=0.5)).resume()
    trainer(faces, tmp_path, replace(RECIPE, name="moved")).resume()
    other = faces.rows(np.arange(len(faces)))
    other.votes[0, 0] += 1
    with pytest.raises(TrainingError, match="other faces, labels or teachers"):
        trainer(other, tmp_path).resume()


def test_less_than_a_batch_is_refused(faces: FerDataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="16 training faces are less than one batch"):
        trainer(faces, tmp_path, replace(RECIPE, batch=64))


def test_a_diverging_run_is_reported(faces: FerDataset, tmp_path: Path) -> None:
    run = trainer(faces, tmp_path)
    with torch.no_grad():
        run.model.ferplus.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="smaller rate"):
        run.run()
    assert not run.checkpoint_path.exists()


def test_without_votes_labels_are_used(faces: FerDataset, tmp_path: Path) -> None:
    plain = replace(faces, votes=np.zeros_like(faces.votes))
    recipe = replace(RECIPE, early_stopping=EarlyStopping(patience=9, metric="fer2013_accuracy"))
    run = trainer(plain, tmp_path, recipe, monitors=[CsvLog(tmp_path)])
    run.run()
    assert run.accuracy > 0
    *_, last = (tmp_path / "log.csv").read_text().splitlines()
    assert last.split(",")[6] == "", "no FER+ accuracy"
    watching = replace(RECIPE, early_stopping=EarlyStopping(patience=9))
    with pytest.raises(TrainingError, match="PublicTest has no FER"):
        trainer(plain, tmp_path / "b", watching).run()


def test_frozen_layers_keep_weights_and_statistics(faces: FerDataset, tmp_path: Path) -> None:
    run = trainer(faces, tmp_path, replace(RECIPE, frozen_blocks=3))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run()
    after = run.model.state_dict()
    kept = {name for name, value in before.items() if torch.equal(value, after[name])}
    early = ("_conv_stem.", "_bn0.", "_blocks.0.", "_blocks.1.", "_blocks.2.")
    assert kept == {n for n in before if n.removeprefix("backbone.").startswith(early)}


def test_vgg_has_no_blocks_to_freeze() -> None:
    with pytest.raises(TrainingError, match="no blocks"):
        Classifier("vgg19").freeze(1)


def test_early_stopping_ends_the_run_and_keeps_the_best(faces: FerDataset, tmp_path: Path) -> None:
    rule = EarlyStopping(patience=1, min_delta=10.0, metric="validation_loss")
    recipe = replace(RECIPE, early_stopping=rule)
    run = trainer(faces, tmp_path, recipe)
    run.run()
    assert run.step == 4, "one epoch, and one that is not better by 10"
    assert checkpoint.read_checkpoint(tmp_path / "best.pt")["step"] == 2
    again = trainer(faces, tmp_path, recipe)
    again.resume()
    assert again.is_done
    again.run()
    assert again.step == 4


def report(epoch: int, accuracy: float | None, loss: float = 1.0) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        step=epoch,
        size_px=48,
        loss=1.0,
        accuracy=0.5,
        validation_loss=loss,
        ferplus_accuracy=accuracy,
        fer2013_accuracy=0.5,
        rate=1e-3,
        seconds=1.0,
    )


def test_patience_counts_epochs_since_the_best() -> None:
    patience = Patience(EarlyStopping(patience=2, min_delta=0.01))
    seen = [(0.5, True), (0.505, False), (0.52, True), (0.4, False)]
    for epoch, (accuracy, better) in enumerate(seen, 1):
        assert not patience.is_over
        assert patience.improved(report(epoch, accuracy)) is better
    moved = Patience(EarlyStopping(patience=2, min_delta=0.01))
    moved.restore(patience.state())
    assert not moved.improved(report(5, 0.525))
    assert moved.is_over
    assert moved.best_epoch == 3


def test_patience_requires_a_smaller_loss() -> None:
    patience = Patience(EarlyStopping(patience=1, metric="validation_loss"))
    assert patience.improved(report(1, 0.5, loss=2.0))
    assert patience.improved(report(2, 0.1, loss=1.0))
    assert not patience.improved(report(3, 0.9, loss=1.0))


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "chosen"),
    [
        ("auto", False, False, "cpu"),
        ("auto", True, True, "cuda"),
        ("auto", False, True, "mps"),
        ("cpu", True, True, "cpu"),
        ("cuda", True, False, "cuda"),
        ("mps", True, True, "mps"),
        ("cuda", False, True, None),
        ("mps", True, False, None),
    ],
)
def test_automatic_choice_of_device(
    monkeypatch: pytest.MonkeyPatch, name: str, cuda: bool, mps: bool, chosen: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    if chosen is None:
        with pytest.raises(
            TrainingError, match=f"no {name} device available to torch; available: .*cpu"
        ):
            device.choose_device(name)
    else:
        assert device.choose_device(name) == torch.device(chosen)


def test_a_missing_device_is_refused_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    missing = str(tmp_path / "no-such-data")
    assert cli.main(["train", "lite0-ferplus", "--data", missing, "--device", "cuda"]) == 1
    assert "no cuda device available" in capsys.readouterr().err


@pytest.mark.parametrize(("bfloat16", "computed"), [(None, torch.float32), (True, torch.bfloat16)])
def test_bfloat16_is_for_the_network_only(
    faces: FerDataset, tmp_path: Path, bfloat16: bool | None, computed: torch.dtype
) -> None:
    run = trainer(faces, tmp_path, bfloat16=bfloat16)
    dtypes = []
    run.model.ferplus.register_forward_hook(lambda *call: dtypes.append(call[2].dtype))
    run.run()
    assert set(dtypes) == {computed}
    assert {value.dtype for value in run.model.parameters()} == {torch.float32}
    assert run.loss > 0


def test_random_states_of_all_devices_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA and MPS by their own calls, which cannot run everywhere."""
    kept: dict[str, Any] = {}
    state = torch.tensor([1], dtype=torch.uint8)
    for kind in (torch.cuda, torch.mps):
        monkeypatch.setattr(kind, "get_rng_state", lambda *_: state)
        monkeypatch.setattr(
            kind, "set_rng_state", lambda *args, k=kind: kept.update({str(k): args})
        )
    before = torch.get_rng_state()
    for kind in ("cpu", "cuda", "mps"):
        states = device.random_state(torch.device(kind))
        assert set(states) == {"cpu", kind}
        torch.rand(1)
        device.set_random_state(torch.device(kind), states)
        assert torch.equal(torch.get_rng_state(), before)
    assert len(kept) == 2
    device.set_random_state(torch.device("cuda"), {"cpu": before})
    assert len(kept) == 2, "a run that moves to another device starts that one's numbers anew"


def test_determinism_is_configured_only_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    device.repeat_exactly(torch.device("cpu"))
    assert chosen == []
    device.repeat_exactly(torch.device("cuda"))
    assert chosen == [True]
    assert not torch.backends.cudnn.benchmark
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
