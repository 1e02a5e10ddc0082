"""The command ``mien-train``."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from mien.artifacts import CARD_NAME
from mien.classify.onnx import load_classifier
from mien.detect.registry import DEFAULT_DETECTOR
from mien.errors import MienError
from mien.recognizer import Recognizer
from mien_train.calibrate import fit
from mien_train.card import update_card
from mien_train.data import load_data
from mien_train.data.fer2013 import without_duplicates_of
from mien_train.data.natural import LABELS_NAME, load_natural
from mien_train.data.packed import pack
from mien_train.device import choose_device
from mien_train.errors import TrainingError
from mien_train.evaluate import Scores, score
from mien_train.export import export, trained_outputs
from mien_train.model_card import render
from mien_train.monitor import CsvLog, Monitor, ProgressLog, TensorBoardLog
from mien_train.parser import parser
from mien_train.photos import photo_lines, score_photos
from mien_train.quantize import compare, quantize
from mien_train.recipe import SPLITS, Recipe, load_recipe
from mien_train.report import score_lines, write_page
from mien_train.train import BEST_CHECKPOINT, CHECKPOINT, InterruptedRunError, Trainer
from mien_train.twins import has_twin


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when done, 1 on an error, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        _COMMANDS[arguments.command](arguments)
    except InterruptedRunError as error:
        again = given if "--resume" in given else [*given, "--resume"]
        say(f"{error}; resume with:\n  mien-train {shlex.join(again)}")
        return 130
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (TrainingError, MienError) as error:
        say(str(error))
        return 1
    return 0


def say(message: str) -> None:
    """Print a message on standard error; results go to standard output."""
    print(f"mien-train: {message}", file=sys.stderr)


def _train(arguments: argparse.Namespace) -> None:
    recipe = load_recipe(arguments.recipe)
    folder = arguments.out or Path("runs") / recipe.name
    if not arguments.resume and (folder / CHECKPOINT).exists():
        raise TrainingError(f"{folder} already has a run: add --resume, or choose another --out")
    if bool(arguments.natural) != (recipe.natural_repeat > 0):
        advice = "leave --natural out" if arguments.natural else "add --natural DIR"
        raise TrainingError(
            f"recipe {recipe.name} has natural_repeat = {recipe.natural_repeat}: {advice}"
        )
    device, monitors = choose_device(arguments.device), _monitors(arguments, recipe, folder)
    data = load_data(arguments.data, recipe.split)
    check = data.split("PublicTest")
    train = without_duplicates_of(data.split("Training"), check)
    if arguments.natural:
        train = train.joined(load_natural(arguments.natural), recipe.natural_repeat)
    trainer = Trainer(
        recipe,
        train,
        check,
        folder,
        arguments.teacher,
        device=device,
        bfloat16=arguments.bfloat16,
        monitors=monitors,
    )
    if arguments.resume:
        trainer.resume()
    elif arguments.start:
        trainer.start_from(arguments.start)
    outputs = trained_outputs(recipe.ferplus_weight, trainer.about_data)
    if recipe.ferplus_weight and "ferplus" not in outputs:
        say("no FER+ votes: only the FER2013 output is trained, and only that will be exported")
    say(f"{recipe.name}: {len(train)} faces, {recipe.epochs} epochs on {device.type}, in {folder}")
    trainer.run()
    _report_end(trainer)


def _monitors(arguments: argparse.Namespace, recipe: Recipe, folder: Path) -> list[Monitor]:
    monitors: list[Monitor] = [ProgressLog(recipe.epochs), CsvLog(folder)]
    if arguments.tensorboard:
        monitors.append(TensorBoardLog(folder))
    return monitors


def _report_end(trainer: Trainer) -> None:
    kept = trainer.checkpoint_path
    if trainer.patience is not None:
        kept = trainer.folder / BEST_CHECKPOINT
        say(f"the best epoch was {trainer.patience.best_epoch}; {kept.name} has its weights")
    say(f"done; next: mien-train export {kept} --out DIR")


def _pack(arguments: argparse.Namespace) -> None:
    folder = arguments.folder
    is_natural = (folder / LABELS_NAME).is_file()
    data = load_natural(folder) if is_natural else load_data(folder, SPLITS[0])
    # PrivateTest is not used in training.
    pack(data.rows(data.usage != "PrivateTest"), arguments.out)
    print(arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    print(export(arguments.checkpoint, arguments.out, dict(arguments.prior)))


def _quantize(arguments: argparse.Namespace) -> None:
    data = load_data(arguments.data, arguments.split)
    path = quantize(arguments.model, data.split("Training"), arguments.out)
    gain = compare(arguments.model, path, data.split("PublicTest"), "PublicTest")
    if not gain.is_worth_it:
        path.unlink()
        (path.parent / CARD_NAME).unlink()
        raise TrainingError(f"not kept: {gain}")
    say(f"{gain}; next: mien-train calibrate {path} --data DIR")
    print(path)


def _import(arguments: argparse.Namespace) -> None:
    try:
        # Its libraries are in a separate extra.
        from mien_train.keras_import import import_keras  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise TrainingError("importing needs: pip install 'mien[keras]'") from error
    print(import_keras(arguments.model, arguments.out))


def _calibrate(arguments: argparse.Namespace) -> None:
    data = load_data(arguments.data, arguments.split).split("PublicTest")
    calibration = fit(load_classifier(arguments.model), data, arguments.photos)
    update_card(arguments.model.parent, "model", calibration.to_card())
    print(", ".join(f"{name} {value}" for name, value in asdict(calibration).items()))


def _evaluate(arguments: argparse.Namespace) -> None:
    if (arguments.data is None) == (arguments.photos is None):
        raise TrainingError("give either --data DIR or --photos DIR")
    if arguments.record and arguments.model is None:
        raise TrainingError("--record needs the path of a model")
    if arguments.photos:
        if arguments.report or arguments.flip:
            raise TrainingError("--report and --flip need --data DIR")
        _evaluate_photos(arguments)
    elif arguments.detector:
        raise TrainingError("--detector needs --photos DIR")
    else:
        _evaluate_faces(arguments)


def _evaluate_faces(arguments: argparse.Namespace) -> None:
    data = load_data(arguments.data, arguments.split)
    faces, train = data.split(arguments.usage), data.faces[data.usage == "Training"]
    twin = has_twin(faces.faces, train) if len(train) and arguments.usage != "Training" else None
    classifier = load_classifier(arguments.model and Path(arguments.model))
    scores = score(classifier, faces, arguments.usage, flip=arguments.flip, twin=twin)
    today = datetime.now(UTC).date()
    if arguments.record:
        _record(Path(arguments.model), scores, today, arguments.split)
    if arguments.report:
        say(f"wrote {write_page(scores, classifier.card, arguments.report, on=today)}")
    print(json.dumps(scores.to_dict()) if arguments.json else "\n".join(score_lines(scores)))


def _evaluate_photos(arguments: argparse.Namespace) -> None:
    recognizer = Recognizer(model=arguments.model, detector=arguments.detector or DEFAULT_DETECTOR)
    scores = score_photos(recognizer, arguments.photos)
    if arguments.record:
        model = Path(arguments.model)
        measured = {
            "date": datetime.now(UTC).date().isoformat(),
            "command": f"mien-train evaluate {_short(model)} --photos DIR",
            **scores.to_dict(),
        }
        update_card(model.parent, "photos", measured)
    print(json.dumps(scores.to_dict()) if arguments.json else "\n".join(photo_lines(scores)))


def _card(arguments: argparse.Namespace) -> None:
    arguments.out.write_text(render(arguments.model), encoding="utf-8")
    say(f"wrote {arguments.out}")


def _record(model: Path, scores: Scores, on: date, split: str) -> None:
    key = scores.usage.lower() + ("_flip" if scores.view != "single" else "")
    options = f"--usage {scores.usage}" + (" --flip" if scores.view != "single" else "")
    if split != SPLITS[0]:
        key, options = f"{key}_{split}", f"{options} --split {split}"
    measured = {
        "date": on.isoformat(),
        "command": f"mien-train evaluate {_short(model)} --data DIR {options}",
        **scores.to_dict(),
    }
    table = {key: {k: v for k, v in measured.items() if v is not None}}
    update_card(model.parent, "measured", table)


def _short(model: Path) -> str:
    return "/".join(model.resolve().parts[-2:])


_COMMANDS = {
    "train": _train,
    "pack": _pack,
    "import": _import,
    "export": _export,
    "quantize": _quantize,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
    "card": _card,
}
