"""Write the card that travels with a model file."""

import hashlib
import json
import math
import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

from mien.artifacts import CARD_NAME

# The name of every model file that mien-train writes.
MODEL_FILE = "model.onnx"


def new_card(
    model_file: Path,
    *,
    model: dict[str, Any],
    about: dict[str, str],
    training: dict[str, Any] | None = None,
) -> None:
    """Write ``card.toml`` next to a model file, with its SHA-256 and the folder's name.

    about: ``description``, ``licence``, ``source`` and ``data``, for people; training: what it
    learned from, in numbers, where that is known.
    """
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    card = {
        "name": model_file.resolve().parent.name,
        "task": "emotion",
        **about,
        "files": {model_file.name: digest},
        "model": model,
    }
    if training:
        card["training"] = training
    write_card(model_file.parent / CARD_NAME, card)


def read_card(folder: Path) -> dict[str, Any]:
    """Return the whole card in a folder, with the tables that ``mien`` does not use."""
    return tomllib.loads((folder / CARD_NAME).read_text(encoding="utf-8-sig"))


def update_card(folder: Path, table: str, values: dict[str, Any]) -> None:
    """Set keys of one table of a card that is there."""
    card = read_card(folder)
    card[table] = {**card.get(table, {}), **values}
    write_card(folder / CARD_NAME, card)


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write a whole card, as TOML."""
    path.write_text("\n".join(_lines(card, ())) + "\n", encoding="utf-8")


def _lines(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return TOML lines: a table's own values first, then its sub-tables."""
    lines = [
        f"{_key(key)} = {_value(value)}"
        for key, value in table.items()
        if not isinstance(value, dict)
    ]
    for key, value in table.items():
        if isinstance(value, dict):
            inner = (*path, key)
            lines += ["", f"[{'.'.join(map(_key, inner))}]", *_lines(value, inner)]
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # JSON's strings, numbers and booleans are TOML's too, but for a DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
