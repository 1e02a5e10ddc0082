"""Options that several commands share, built from their one declaration in ``mien.options``."""

import argparse
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from mien.detect.registry import DEFAULT_DETECTOR, DETECTORS
from mien.errors import InvalidParameterError
from mien.options import Include, included, option_fields
from mien.recognizer import MAX_PIXELS

__all__ = [
    "add_analysis_options",
    "add_model_options",
    "positive",
    "recognizer_arguments",
    "whole",
]

_PREFIX = "MIEN_"


def whole(text: str, least: int = 0) -> int:
    """Return a whole number of at least ``least``, for argparse."""
    if text.isascii() and text.isdigit() and int(text) >= least:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")


positive = partial(whole, least=1)


def add_analysis_options(
    parser: argparse.ArgumentParser, *, include: frozenset[Include] = frozenset()
) -> None:
    """Add the options of an analysis, of the output and of the models.

    Args:
        parser: The command's.
        include: Optional keys of a face in the output by default.
    """
    analysis = parser.add_argument_group("analysis")
    for option in option_fields():
        analysis.add_argument(_flag(option.name), default=option.default, **_argument(option))
    analysis.add_argument(
        "--include",
        type=_include,
        default=include,
        metavar="KEY,...",
        help=f"more about each face: {', '.join(Include)}"
        + (f"; default {','.join(include)}" if include else ""),
    )
    models = add_model_options(parser, default=_given)
    models.add_argument(
        "--providers",
        default=_given("providers", "cpu"),
        metavar="NAME,...",
        help="ONNX Runtime's execution providers: cpu (default), cuda, openvino",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-pixels",
        type=positive,
        metavar="N",
        help=f"refuse images with more pixels; default {MAX_PIXELS:,}",
    )
    limits.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="images to analyze at once; default: the number of cores",
    )
    parser.epilog = (parser.epilog or "") + (
        " Models and limits can also be set by environment variables, such as MIEN_DETECTOR and "
        "MIEN_MAX_PIXELS."
    )


def add_model_options(
    parser: argparse.ArgumentParser, default: Callable[[str], Any] = lambda _: None
) -> Any:
    """Add ``--model``, ``--detector`` and ``--detector-model``; return their group.

    Args:
        parser: The command's.
        default: Returns an option's default by its name.
    """
    models = parser.add_argument_group("models")
    models.add_argument(
        "--model",
        default=default("model"),
        metavar="FILE",
        help="emotion model: an ONNX file with its card.toml beside it, or a plug-in's name",
    )
    models.add_argument(
        "--detector",
        default=default("detector"),
        metavar="NAME",
        help=f"face detector: {', '.join(DETECTORS)}; default {DEFAULT_DETECTOR}",
    )
    models.add_argument(
        "--detector-model",
        type=Path,
        default=default("detector_model"),
        metavar="FILE",
        help="ONNX file in place of the detector's own; yunet takes one",
    )
    return models


def recognizer_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``Recognizer`` that ``add_analysis_options`` has read."""
    names = [option.name for option in option_fields()]
    names += ["detector", "detector_model", "model", "providers", "max_pixels", "threads"]
    given = {name: getattr(options, name) for name in names}
    # Read here, so that an invalid variable does not matter where the option is given.
    if given["max_pixels"] is None:
        given["max_pixels"] = _given("max_pixels", MAX_PIXELS, positive)
    if given["threads"] is None:
        given["threads"] = _given("threads", read=positive)
    if Include.QUALITY in options.include:
        given["quality"] = True
    return {name: value for name, value in given.items() if value is not None}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _given(name: str, default: Any = None, read: Callable[[str], Any] = str) -> Any:
    """Return an option's default: its environment variable, unless that is empty or not set."""
    variable = _PREFIX + name.upper()
    text = os.environ.get(variable)
    try:
        return read(text) if text else default
    except argparse.ArgumentTypeError as error:
        raise InvalidParameterError(f"{variable}: {error}") from error


def _argument(option: Any) -> dict[str, Any]:
    """Return how argparse should read an option."""
    about, least, most = (option.metadata[key] for key in ("about", "least", "most"))
    if isinstance(option.default, StrEnum):
        return {"choices": list(map(str, type(option.default))), "help": about}
    if isinstance(option.default, bool):
        return {"action": "store_true", "help": about}
    if most is None:
        return {"type": partial(whole, least=least), "metavar": "N", "help": about}
    return {"type": partial(decimal, least=least, most=most), "metavar": "X", "help": about}


def decimal(text: str, least: float, most: float) -> float:
    """Return a number from ``least`` to ``most``, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
    return number


def _include(text: str) -> frozenset[Include]:
    try:
        return included(name.strip() for name in text.split(","))
    except InvalidParameterError as error:
        raise argparse.ArgumentTypeError(error.message) from error
