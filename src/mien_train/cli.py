"""The command ``mien-train``. What needs an extra is imported when it is used."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from mien.classify.onnx import load_classifier
from mien.cli.console import BROKEN_PIPE, drop_output
from mien.detect.registry import DEFAULT_DETECTOR
from mien.errors import MienError
from mien.recognizer import Recognizer
from mien_train.calibrate import fit
from mien_train.card import update_card
from mien_train.data import load_data
from mien_train.data.natural import LABELS_NAME, load_natural
from mien_train.data.packed import pack
from mien_train.errors import InterruptedRunError, TrainingError
from mien_train.evaluate import Scores, score
from mien_train.messages import say
from mien_train.parser import parser
from mien_train.photos import photo_lines, score_photos
from mien_train.recipe import SPLITS
from mien_train.report.text import score_lines
from mien_train.twins import has_twin


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when done, 1 on an error, 130 after Ctrl-C, 141 with no reader."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        _run(arguments)
        print(end="", flush=True)
    except BrokenPipeError:
        drop_output()
        return BROKEN_PIPE
    except InterruptedRunError as error:
        again = given if "--resume" in given else [*given, "--resume"]
        say(f"{error}; resume with:\n  mien-train {shlex.join(again)}")
        return 130
    except KeyboardInterrupt:
        say("stopped")
        return 130
    except (TrainingError, MienError, OSError) as error:
        say(str(error))
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command in _COMMANDS:
        _COMMANDS[arguments.command](arguments)
    else:
        with _needing("mien[train]"):
            from mien_train.cli_training import COMMANDS  # noqa: PLC0415
        COMMANDS[arguments.command](arguments)


@contextmanager
def _needing(package: str) -> Iterator[None]:
    """Name the package to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        # What is missing of our own is a mistake.
        if (error.name or "mien").startswith("mien"):
            raise
        raise TrainingError(f"{error.name} is missing: pip install '{package}'") from error


def _pack(arguments: argparse.Namespace) -> None:
    folder = arguments.folder
    is_natural = (folder / LABELS_NAME).is_file()
    data = load_natural(folder) if is_natural else load_data(folder, SPLITS[0])
    # PrivateTest is not used in training.
    pack(data.rows(data.usage != "PrivateTest"), arguments.out)
    print(arguments.out)


def _import(arguments: argparse.Namespace) -> None:
    with _needing("mien[keras]"):
        from mien_train.keras_import import import_keras  # noqa: PLC0415
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
    if arguments.report:
        with _needing("jinja2"):
            from mien_train.report.page import write_page  # noqa: PLC0415
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
    with _needing("jinja2"):
        from mien_train.model_card import render  # noqa: PLC0415
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
    "pack": _pack,
    "import": _import,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
    "card": _card,
}
