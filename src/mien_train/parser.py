"""The arguments of ``mien-train``. Importing this module does not import torch."""

import argparse
from pathlib import Path

import mien_train
from mien_train.data.fer2013 import FERPLUS_LABELS, USAGES
from mien_train.recipe import SPLITS, recipe_names

__all__ = ["COMMANDS", "parser"]

COMMANDS = {
    "train": "train a recipe",
    "pack": "pack training data into one file that loads quickly",
    "import": "convert a Keras model of the baseline's architecture to ONNX",
    "export": "convert a checkpoint to ONNX, with a card",
    "quantize": "quantize a model to 8 bits; keep it if faster and about as accurate",
    "calibrate": "fit share and temperature on PublicTest and photos",
    "evaluate": "measure the accuracy of an ONNX file",
    "card": "write the model card as Markdown",
}
DEVICES = ("auto", "cpu", "cuda", "mps")


def _prior(text: str) -> tuple[str, float]:
    emotion, _, value = text.partition("=")
    if emotion not in FERPLUS_LABELS:
        raise argparse.ArgumentTypeError(f"{emotion!r} is not one of {', '.join(FERPLUS_LABELS)}")
    try:
        return emotion, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from error


def parser() -> argparse.ArgumentParser:
    """Return the argument parser of ``mien-train``; it sets ``command`` to one of ``COMMANDS``."""
    whole = argparse.ArgumentParser(prog="mien-train", description=mien_train.__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND", dest="command")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="holds fer2013.csv or fer2013.csv.gz (and fer2013new.csv), or train/EMOTION/; "
        "may be a packed file",
    )
    split = argparse.ArgumentParser(add_help=False)
    split.add_argument(
        "--split",
        choices=SPLITS,
        default=SPLITS[0],
        help="PublicTest as in the data (usage) or as in the baseline's split (reference); "
        "default: usage",
    )

    train = commands.add_parser("train", parents=[data], help=COMMANDS["train"])
    train.add_argument("recipe", help=f"{', '.join(recipe_names())}, or a TOML file")
    train.add_argument("--out", type=Path, help="folder of the run (default: runs/RECIPE)")
    train.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    train.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="MODEL",
        help="ONNX file with its card in the same folder; may be given several times",
    )
    train.add_argument(
        "--natural",
        type=Path,
        metavar="DIR",
        help="labels.csv and faces.zip, or a packed file, for a recipe with natural_repeat",
    )
    train.add_argument(
        "--start",
        type=Path,
        action="append",
        metavar="CHECKPOINT",
        help="start from another run's weights, or from the mean of several",
    )
    train.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    train.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        help="compute in bfloat16; default: on CUDA only",
    )
    train.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard")

    packer = commands.add_parser("pack", help=COMMANDS["pack"])
    packer.add_argument("folder", type=Path, help="as for --data or --natural of train")
    packer.add_argument("--out", type=Path, required=True, metavar="FILE.npz")

    importer = commands.add_parser("import", help=COMMANDS["import"])
    importer.add_argument("model", type=Path, metavar="MODEL.keras")
    importer.add_argument("--out", type=Path, required=True, metavar="DIR")

    exporter = commands.add_parser("export", help=COMMANDS["export"])
    exporter.add_argument("checkpoint", type=Path)
    exporter.add_argument("--out", type=Path, required=True, metavar="DIR")
    exporter.add_argument(
        "--prior",
        type=_prior,
        action="append",
        default=[],
        metavar="EMOTION=LOGIT",
        help="add this to the emotion's logit; may be given several times",
    )

    quantizer = commands.add_parser("quantize", parents=[data, split], help=COMMANDS["quantize"])
    quantizer.add_argument("model", type=Path, help="ONNX file with its card in the same folder")
    quantizer.add_argument("--out", type=Path, required=True, metavar="DIR")

    calibrate = commands.add_parser("calibrate", parents=[data, split], help=COMMANDS["calibrate"])
    calibrate.add_argument("model", type=Path, help="ONNX file with its card in the same folder")
    calibrate.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="folder of photos and labels.csv to fit on as well",
    )

    evaluate = commands.add_parser("evaluate", parents=[split], help=COMMANDS["evaluate"])
    evaluate.add_argument(
        "model",
        nargs="?",
        help="ONNX file with its card in the same folder, or, for --photos, the name of a plug-in; "
        "default: the model in the package",
    )
    evaluate.add_argument("--data", type=Path, metavar="DIR", help="as for train")
    evaluate.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="folder of photos and labels.csv, evaluated end to end instead",
    )
    evaluate.add_argument(
        "--detector", metavar="NAME", help="finds the faces of --photos; default: yunet"
    )
    evaluate.add_argument("--usage", choices=USAGES, default="PublicTest")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.add_argument(
        "--report", type=Path, metavar="DIR", help="for --data: write a page with tables and plots"
    )
    evaluate.add_argument("--flip", action="store_true", help="average with the mirror image")
    evaluate.add_argument("--record", action="store_true", help="write the metrics to the card")

    card = commands.add_parser("card", help=COMMANDS["card"])
    card.add_argument("model", type=Path, help="ONNX file with its card in the same folder")
    card.add_argument("--out", type=Path, required=True, metavar="FILE")
    return whole
