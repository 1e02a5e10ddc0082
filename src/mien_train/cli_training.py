"""The commands of ``mien-train`` that need the extra ``train``."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from mien.artifacts import CARD_NAME
from mien_train.data import load_data
from mien_train.data.fer2013 import without_duplicates_of
from mien_train.data.natural import load_natural
from mien_train.device import choose_device
from mien_train.errors import TrainingError
from mien_train.export import export, trained_outputs
from mien_train.messages import say
from mien_train.monitor import CsvLog, Monitor, ProgressLog, TensorBoardLog
from mien_train.quantize import compare, quantize
from mien_train.recipe import Recipe, load_recipe
from mien_train.train import BEST_CHECKPOINT, CHECKPOINT, Trainer

__all__ = ["COMMANDS"]


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


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "train": _train,
    "export": _export,
    "quantize": _quantize,
}
