"""Words for people, and the options that several commands take."""

import argparse
import sys
from functools import partial
from pathlib import Path

__all__ = ["add_model_options", "positive", "printable", "say", "whole"]


def say(words: str) -> None:
    """Print to stderr, so that results stay clean."""
    print(f"mien: {printable(words)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return text that can't move a terminal's cursor: file names may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def whole(text: str, least: int = 0) -> int:
    """Return a whole number of at least so much, for argparse."""
    if text.isascii() and text.isdigit() and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")


positive = partial(whole, least=1)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--detector`` and ``--detector-model``; without them the settings win."""
    models = parser.add_argument_group("models")
    models.add_argument(
        "--model", type=Path, metavar="FILE", help="ONNX file with its card.toml beside it"
    )
    models.add_argument(
        "--detector", metavar="NAME", help="what finds the faces: mtcnn (default) or yunet"
    )
    models.add_argument(
        "--detector-model",
        type=Path,
        metavar="FILE",
        help="its ONNX file, where it brings none: yunet",
    )
