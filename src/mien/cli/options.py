"""Options that several commands share, built from their one declaration in ``mien.options``."""

import argparse
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from mien.cli.parser import decimal, positive, whole
from mien.detect import MIN_FACE_SIZE_PX
from mien.detect.registry import DEFAULT_DETECTOR, DETECTORS
from mien.errors import InvalidParameterError
from mien.options import Include, included, option_fields
from mien.recognizer import MAX_PIXELS

__all__ = ["add_analysis_options", "add_model_options", "recognizer_arguments"]


# Options that environment variables also set: how their text is read, and the default.
_VARIABLES: Mapping[str, tuple[Callable[[str], Any], Any]] = {
    "model": (str, None),
    "detector": (str, None),
    "detector_model": (Path, None),
    "providers": (str, "cpu"),
    "max_pixels": (positive, MAX_PIXELS),
    "threads": (positive, None),
    "min_face_size": (partial(whole, least=MIN_FACE_SIZE_PX), None),
}


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
        help=f"optional keys of each face: {', '.join(Include)}"
        + (f"; default {','.join(include)}" if include else ""),
    )
    models = add_model_options(parser)
    models.add_argument(
        "--providers",
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
        " These environment variables, if set, are the defaults of their options: "
        f"{', '.join(map(_variable, _VARIABLES))}."
    )


def add_model_options(parser: argparse.ArgumentParser) -> Any:
    """Add ``--model``, ``--detector`` and ``--detector-model``; return their group."""
    models = parser.add_argument_group("models")
    models.add_argument(
        "--model",
        metavar="FILE",
        help="emotion model: an ONNX file with its card.toml in the same folder, or a plug-in's "
        "name; default: the included model",
    )
    models.add_argument(
        "--detector",
        metavar="NAME",
        help=f"face detector: {', '.join(DETECTORS)} or a plug-in's name; "
        f"default {DEFAULT_DETECTOR}",
    )
    models.add_argument(
        "--detector-model",
        type=Path,
        metavar="FILE",
        help="ONNX file to use instead of the detector's own; only for yunet and plug-ins",
    )
    return models


def recognizer_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``Recognizer`` that ``add_analysis_options`` has read."""
    names = [option.name for option in option_fields()]
    given = {name: getattr(options, name) for name in [*names, *_VARIABLES]}
    for name, (read, default) in _VARIABLES.items():
        # An invalid variable is ignored if its option is given.
        if given[name] is None:
            given[name] = _from_variable(_variable(name), read, default)
    if Include.QUALITY in options.include:
        given["quality"] = True
    return {name: value for name, value in given.items() if value is not None}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return "MIEN_" + name.upper()


def _from_variable(variable: str, read: Callable[[str], Any], default: Any) -> Any:
    """Return the value of an environment variable; the default if it is empty or not set."""
    text = os.environ.get(variable)
    try:
        return read(text) if text else default
    except argparse.ArgumentTypeError as error:
        raise InvalidParameterError(f"{variable}: {error}") from error


def _argument(option: Any) -> dict[str, Any]:
    """Return how argparse should read an option."""
    about, least, most = (option.metadata[key] for key in ("about", "least", "most"))
    if isinstance(option.default, StrEnum):
        choices = list(map(str, type(option.default)))
        return {"choices": choices, "help": f"{about} Default: {option.default}."}
    if isinstance(option.default, bool):
        return {"action": "store_true", "help": about}
    if most is None:
        return {"type": partial(whole, least=least), "metavar": "N", "help": about}
    return {"type": partial(decimal, least=least, most=most), "metavar": "X", "help": about}


def _include(text: str) -> frozenset[Include]:
    try:
        return included(name.strip() for name in text.split(","))
    except InvalidParameterError as error:
        raise argparse.ArgumentTypeError(error.message) from error
