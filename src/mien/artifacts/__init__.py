"""Model files that ship in the wheel, each folder with its card; read only after verification.

A card is a TOML file: what the files are, where they come from, under which licence, with their
SHA-256, and a table ``model`` with everything that the code must know to run them.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mien.errors import ArtifactError

__all__ = ["Card", "card_beside", "card_names", "load_card"]

CARD_NAME = "card.toml"
_TEXTS = ("name", "task", "description", "licence", "source")
_TABLES = ("files", "model", "measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A model's card.

    task: ``detection`` or ``emotion``; files: file name -> SHA-256 in hex;
    model: what the code reads to run it; measured: published figures of this very file.
    """

    name: str
    task: str
    description: str
    licence: str
    source: str
    files: Mapping[str, str]
    model: Mapping[str, Any]
    measured: Mapping[str, Any]
    folder: Path

    def read(self, file: str) -> bytes:
        """Return the file's bytes after comparing their SHA-256 with the card's.

        Raises ArtifactError if the file is not on the card, is missing, or was altered.
        """
        if file not in self.files:
            raise ArtifactError(f"{self.name}: {file} is not on the card")
        try:
            data = (self.folder / file).read_bytes()
        except OSError as error:
            raise ArtifactError(f"{self.name}: {file} is missing") from error
        if hashlib.sha256(data).hexdigest() != self.files[file]:
            raise ArtifactError(f"{self.name}: {file} does not match the SHA-256 on its card")
        return data

    def verify(self) -> None:
        """Read every file once. Raises ArtifactError as ``read`` does."""
        for file in self.files:
            self.read(file)


def card_names() -> list[str]:
    """Return the names of the models in the wheel, sorted."""
    return sorted(entry.name for entry in _root().iterdir() if (entry / CARD_NAME).is_file())


def load_card(name: str) -> Card:
    """Return the card of a model in the wheel.

    Raises ArtifactError for an unknown name or a card that is not complete.
    """
    if name not in card_names():
        raise ArtifactError(f"no model {name!r}; there are {', '.join(card_names())}")
    return _parse(_root() / name / CARD_NAME)


def card_beside(model_file: Path) -> Card:
    """Return the card of a model file that a user brings: ``card.toml`` in the same folder.

    Raises ArtifactError if there is no such file or card, or it does not list the file.
    """
    if not model_file.is_file():
        raise ArtifactError(f"there is no model file {model_file}")
    card = _parse(model_file.parent / CARD_NAME)
    if model_file.name not in card.files:
        raise ArtifactError(f"{card.name}: {model_file.name} is not on the card beside it")
    return card


def _root() -> Path:
    # The wheel is always unpacked (it is not zip-safe), so resources are real paths.
    return Path(str(resources.files(__name__)))


def _parse(path: Path) -> Card:
    folder = path.absolute().parent
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"no {CARD_NAME} beside the model in {folder.name}/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{folder.name}/{CARD_NAME} is not valid TOML") from error
    table = {"model": {}, "measured": {}, **table}
    known: dict[str, Any] = {key: table.get(key) for key in (*_TEXTS, *_TABLES)}
    if missing := [key for key, value in known.items() if value is None]:
        raise ArtifactError(f"{folder.name}/{CARD_NAME} lacks {', '.join(missing)}")
    for key, value in known.items():
        if not isinstance(value, str if key in _TEXTS else dict):
            kind = "text" if key in _TEXTS else "a table"
            raise ArtifactError(f"{folder.name}/{CARD_NAME}: {key} has to be {kind}")
    return Card(**known, folder=path.parent)
