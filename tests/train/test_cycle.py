"""All steps on generated faces: train, stop, resume, export, calibrate, evaluate, serve.

``make train-smoke`` runs this file.
"""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from http_process import address_when_ready
from mien.artifacts import card_beside
from mien.classify.onnx import load_classifier
from mien_train import cli, export, quantize
from mien_train.data.fer2013 import FER2013_LABELS, load_fer2013
from mien_train.distill import teach
from mien_train.errors import TrainingError
from mien_train.monitor import ProgressLog, StepReport
from mien_train.quantize import Gain
from mien_train.recipe import load_recipe
from mien_train.targets import Targets
from mien_train.train import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def run_folder(
    fer_folder: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that was stopped once."""
    folder = tmp_path_factory.mktemp("run")
    train = ["train", str(recipe_file), "--data", str(fer_folder), "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:

        def stop_in_the_fourth_epoch(_: ProgressLog, report: StepReport) -> None:
            if report.step == 20:
                signal.raise_signal(signal.SIGINT)

        patch.setattr(ProgressLog, "step", stop_in_the_fourth_epoch)
        assert cli.main(train) == 130
    assert cli.main([*train, "--resume"]) == 0
    return folder


@pytest.fixture(scope="module")
def model(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "made-up"
    assert cli.main(["export", str(run_folder / "checkpoint.pt"), "--out", str(out)]) == 0
    return out / "model.onnx"


def test_the_log_has_a_row_per_epoch(run_folder: Path) -> None:
    with (run_folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 61)]
    assert [row["size_px"] for row in rows] == ["48"] * 30 + ["64"] * 30
    assert all(0 <= float(row["ferplus_accuracy"]) <= 1 for row in rows)
    assert float(rows[-1]["validation_loss"]) < float(rows[0]["loss"])


def test_the_exported_model_is_one_file_with_its_card(model: Path) -> None:
    card = card_beside(model)
    card.verify()
    assert card.model["size_px"] == 48
    training = tomllib.loads((model.parent / "card.toml").read_text())["training"]
    assert training["faces"] == training["faces_with_votes"] == 48
    assert training["labels"]["happy"] == training["labels"]["sad"] == 24
    assert sorted(p.name for p in model.parent.iterdir()) == ["card.toml", "model.onnx"]


def test_calibrate_evaluate_and_record(
    model: Path, fer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(fer_folder)]
    assert cli.main(["calibrate", str(model), *data]) == 0
    table = tomllib.loads((model.parent / "card.toml").read_text())
    assert table["model"]["temperature"] != 1.0
    capsys.readouterr()
    assert cli.main(["evaluate", str(model), *data, "--json", "--record"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["view"] == "single"
    assert scores["ferplus"]["faces"] == 16
    assert scores["six"]["accuracy"] >= 0.9, "made-up faces are easy"
    assert card_beside(model).measured["publictest"]["six"] == scores["six"]
    assert cli.main(["evaluate", str(model), *data, "--flip", "--usage", "PrivateTest"]) == 0
    text = capsys.readouterr().out
    assert "PrivateTest, flip-averaged view" in text
    assert "8 faces" in text


def test_a_quantized_model_is_kept_only_if_it_is_worth_it(
    model: Path, fer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantizing = ["quantize", str(model), "--data", str(fer_folder), "--out", str(tmp_path / "q")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantize, "_speed", lambda *_: 1.5)
        patch.setattr(quantize, "MAX_LOSS", 0.2)  # one of 16 faces is 0.06
        assert cli.main(quantizing) == 0
        smaller = Path(capsys.readouterr().out.strip())
        assert smaller.stat().st_size < 0.4 * model.stat().st_size
        card_beside(smaller).verify()
        assert card_beside(smaller).measured == {}, "the figures were of another file"
        smaller.unlink()
        patch.setattr(quantize, "_speed", lambda *_: 0.9)
        assert cli.main(quantizing) == 1
    assert "not kept: 0.90 times as fast" in capsys.readouterr().err
    assert not smaller.exists()


def test_a_model_is_not_replaced_by_a_quantized_one(
    model: Path, fer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.read_bytes()
    (tmp_path / "link").symlink_to(model.parent)
    for folder in (model.parent, tmp_path / "link"):
        quantizing = ["quantize", str(model), "--data", str(fer_folder), "--out", str(folder)]
        assert cli.main(quantizing) == 1
        assert "--out" in capsys.readouterr().err
    assert model.read_bytes() == before


def test_a_prior_needs_the_output_that_it_changes(run_folder: Path, tmp_path: Path) -> None:
    state = torch.load(run_folder / "checkpoint.pt")
    state["recipe"]["ferplus_weight"] = 0.0
    torch.save(state, tmp_path / "fer2013-only.pt")
    with pytest.raises(TrainingError, match="--prior"):
        export.export(tmp_path / "fer2013-only.pt", tmp_path / "out", {"angry": 0.5})
    assert not (tmp_path / "out").exists()


def test_without_votes_only_the_other_output_is_exported(run_folder: Path, tmp_path: Path) -> None:
    state = torch.load(run_folder / "checkpoint.pt")
    state["data"]["faces_with_votes"] = 0
    torch.save(state, tmp_path / "labels-only.pt")
    card = card_beside(export.export(tmp_path / "labels-only.pt", tmp_path / "out"))
    assert card.model["labels"] == list(FER2013_LABELS)
    assert "second_labels" not in card.model
    assert "FER+" not in tomllib.loads((tmp_path / "out" / "card.toml").read_text())["data"]


def test_names_in_the_current_folder(
    model: Path, run_folder: Path, fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(run_folder / "checkpoint.pt"), "--out", "."]) == 0
    assert card_beside(Path("model.onnx")).name == tmp_path.name
    Path("model.onnx").rename("mine.onnx")
    card = Path("card.toml")
    card.write_text(card.read_text().replace("model.onnx", "mine.onnx"))
    assert cli.main(["evaluate", "mine.onnx", "--data", str(fer_folder), "--record"]) == 0
    command = card_beside(Path("mine.onnx")).measured["publictest"]["command"]
    assert f"{tmp_path.name}/mine.onnx --data DIR" in command


def test_limits_of_quantization_loss() -> None:
    def gain(speed: float, after: float) -> Gain:
        accuracies = {"FER+": (0.86, 0.87), "FER2013": (0.68, after)}
        return Gain(speed=speed, megabytes=(13.0, 4.0), accuracies=accuracies)

    assert gain(1.5, 0.678).is_worth_it
    assert not gain(1.5, 0.676).is_worth_it
    assert not gain(0.9, 0.68).is_worth_it


def test_the_model_is_served(model: Path, fer_folder: Path) -> None:
    data = load_fer2013(fer_folder).split("PrivateTest")
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--model", str(model)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = address_when_ready(process)
        responses = [
            httpx.post(
                f"{address}/emotion?crop=true",
                content=picture_of(face),
                headers={"Content-Type": "image/png"},
                timeout=30,
            ).json()
            for face in data.faces
        ]
    finally:
        process.terminate()
        process.communicate(timeout=60)
    emotions = [face["emotion"] for (face,) in responses]
    assert emotions == [FER2013_LABELS[label] for label in data.fer2013]


def picture_of(face: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG")
    return file.getvalue()


def test_the_exported_model_matches_the_checkpoint(model: Path, run_folder: Path) -> None:
    classifier = load_classifier(model)
    crops = np.random.default_rng(0).random((4, 1, 48, 48), dtype=np.float32)
    network = export.Classifier("efficientnet-lite0")
    network.load_state_dict(torch.load(run_folder / "checkpoint.pt", weights_only=True)["average"])
    served = export.Served(network, 64, ("ferplus", "fer2013")).eval()
    with torch.no_grad():
        expected = served(torch.from_numpy(crops))
    for ours, theirs in zip(classifier.outputs(crops), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_export_refuses_a_graph_that_differs(
    run_folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_write", lambda _, path: shutil.copy(model, path))
    monkeypatch.setattr(export, "PARITY", -1.0)
    with pytest.raises(TrainingError, match="differs from torch"):
        export.export(run_folder / "checkpoint.pt", tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [[], ["train"], ["evaluate", "m.onnx", "--data", "d", "--usage", "Test"], ["no-such-command"]],
)
def test_wrong_usage_is_exit_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


def test_a_missing_model_is_a_readable_error(
    fer_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "model.onnx"
    assert cli.main(["evaluate", str(missing), "--data", str(fer_folder)]) == 1
    assert "no model file" in capsys.readouterr().err


def test_teachers_predict_every_face(model: Path, fer_folder: Path) -> None:
    data = load_fer2013(fer_folder).split("Training")
    ferplus, fer2013 = teach([model, model], data)
    for head in (ferplus, fer2013):
        np.testing.assert_allclose(head.sum(axis=1), 1, rtol=1e-5)
    assert (fer2013.argmax(axis=1) == data.fer2013).mean() > 0.9


def test_targets_mix_labels_and_teachers() -> None:
    votes = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = Targets(torch.zeros(2, 48, 48), votes, labels)
    taught = targets.distilled(torch.tensor([[0.5, 0.5], [0.2, 0.8]]), labels, 0.6)
    torch.testing.assert_close(taught.ferplus, torch.tensor([[0.7, 0.3], [0.12, 0.48]]))
    torch.testing.assert_close(taught.fer2013, labels)


def test_distilling_from_a_finished_run(
    run_folder: Path, model: Path, fer_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "pupil.toml"
    text = recipe_file.read_text().replace("epochs = 30", "epochs = 1")
    # At a low rate: how far a few large steps lead depends on the processor's rounding.
    text = text.replace("e-3", "e-4")
    recipe.write_text("teacher_share = 0.5\n" + text)
    started = ["--start", str(run_folder / "checkpoint.pt"), "--out", str(tmp_path / "run")]
    train = ["train", str(recipe), "--data", str(fer_folder)]
    assert cli.main([*train, *started, "--teacher", str(model)]) == 0
    # The loss over all steps: accuracy after two epochs hangs on the last bits of a processor.
    after_two = [losses(folder)[1] for folder in (tmp_path / "run", run_folder)]
    assert after_two[0] < 0.8 * after_two[1], "it began where the run had ended"


def losses(folder: Path) -> list[float]:
    """Return the training loss after each epoch, smoothed over all steps until then."""
    with (folder / "log.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_a_start_from_several_runs_is_their_mean(
    run_folder: Path, fer_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    first = torch.load(run_folder / "checkpoint.pt", weights_only=True)
    weight = next(name for name in first["average"] if name.endswith("weight"))
    other = {**first, "average": {**first["average"], weight: first["average"][weight] + 1}}
    torch.save(other, tmp_path / "other.pt")
    data = load_fer2013(fer_folder)
    train, check = data.split("Training"), data.split("PublicTest")
    trainer = Trainer(load_recipe(str(recipe_file)), train, check, tmp_path / "run")
    trainer.start_from([run_folder / "checkpoint.pt", tmp_path / "other.pt"])
    for network in (trainer.model, trainer.average):
        torch.testing.assert_close(network.state_dict()[weight], first["average"][weight] + 0.5)


@pytest.mark.parametrize(
    ("share", "options", "message"),
    [
        ("0.5", [], "0 teachers"),
        ("0.0", ["--teacher", "no-such.onnx"], "1 teachers"),
        ("0.5", ["--teacher", "no-such.onnx"], "no model file"),
        ("0.0", ["--start", __file__], "not a checkpoint"),
    ],
)
def test_incompatible_teachers_and_starts_are_refused(
    fer_folder: Path,
    recipe_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    share: str,
    options: list[str],
    message: str,
) -> None:
    recipe = tmp_path / "pupil.toml"
    recipe.write_text(f"teacher_share = {share}\n" + recipe_file.read_text())
    train = ["train", str(recipe), "--data", str(fer_folder), "--out", str(tmp_path / "run")]
    assert cli.main([*train, *options]) == 1
    assert message in capsys.readouterr().err


def test_commands_switch_telemetry_off_before_onnxruntime_is_imported() -> None:
    check = "import os, mien_train.quantize; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert done.stdout.strip() == b"1", done.stderr
