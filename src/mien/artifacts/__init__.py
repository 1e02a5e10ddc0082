"""Model files and their cards; files are verified before they are used.

Each folder is one model of the wheel: its files, ``card.toml`` and a license. The card describes
the files with their source, license and SHA-256. Its table ``model`` holds everything that the code
needs to run them.
"""

import hashlib
import os
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

    Attributes:
        name: Short name of the model.
        task: ``detection`` or ``emotion``.
        description: One line for people.
        licence: License of the weights.
        source: Where the weights come from.
        files: SHA-256 in hexadecimal of each file, by file name.
        model: What the code needs to run the files; empty if the card has no such table.
        measured: Published metrics of these files; empty if the card has no such table.
        folder: Where the card and the files are.
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
        """Read a file and verify its SHA-256.

        Args:
            file: Name of a file on the card.

        Raises:
            ArtifactError: The file is not on the card, is missing, or was altered.
        """
        if file not in self.files:
            raise ArtifactError(f"{self.name}: {file} is not on the card")
        try:
            data = (self.folder / file).read_bytes()
        except OSError as error:
            raise ArtifactError(f"{self.name}: {file} is missing") from error
        if hashlib.sha256(data).hexdigest() != str(self.files[file]).lower():
            raise ArtifactError(f"{self.name}: {file} does not match the SHA-256 on its card")
        return data

    def verify(self) -> None:
        """Verify every file on the card.

        Raises:
            ArtifactError: A file is missing or was altered.
        """
        for file in self.files:
            self.read(file)


def card_names() -> list[str]:
    """Return the names of the models in the wheel, sorted."""
    return sorted(entry.name for entry in _root().iterdir() if (entry / CARD_NAME).is_file())


def load_card(name: str) -> Card:
    """Return the card of a model in the wheel.

    Raises:
        ArtifactError: There is no model of that name, or its card is incomplete.
    """
    if name not in card_names():
        raise ArtifactError(f"no model {name!r}; the models are {', '.join(card_names())}")
    return _parse(_root() / name / CARD_NAME)


def card_beside(model_file: Path) -> Card:
    """Return the card of a user's model file: ``card.toml`` in the same folder.

    Raises:
        ArtifactError: The file or the card is missing, the card is incomplete or for another task,
            or it does not list the file.
    """
    # Path's methods raise OSErrors, such as that of a name that is too long.
    if os.path.isdir(model_file) or model_file.name == CARD_NAME:  # noqa: PTH112
        raise ArtifactError(
            f"{model_file} is not an ONNX file; give the path of the ONNX file next to {CARD_NAME}"
        )
    if not os.path.isfile(model_file):  # noqa: PTH113
        raise ArtifactError(
            f"there is no model file {model_file}; give the path of an ONNX file or the name of "
            "a plug-in"
        )
    card = _parse(model_file.parent / CARD_NAME)
    if model_file.name not in card.files:
        raise ArtifactError(f"{card.name}: {model_file.name} is not on the card; add it to [files]")
    if card.task != "emotion":
        raise ArtifactError(f'{card.name}/{CARD_NAME}: task must be "emotion", found {card.task!r}')
    return card


def _root() -> Path:
    # Wheels are always unpacked on installation, so resources are real paths.
    return Path(str(resources.files(__name__)))


def _parse(path: Path) -> Card:
    folder = path.absolute().parent
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ArtifactError(f"no {CARD_NAME} in the model's folder, {folder.name}/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{folder.name}/{CARD_NAME} is not valid TOML: {error}") from error
    table = {"model": {}, "measured": {}, **table}
    known: dict[str, Any] = {key: table.get(key) for key in (*_TEXTS, *_TABLES)}
    if missing := [key for key, value in known.items() if value is None]:
        raise ArtifactError(f"{folder.name}/{CARD_NAME} lacks {', '.join(missing)}")
    for key, value in known.items():
        if not isinstance(value, str if key in _TEXTS else dict):
            kind = "text" if key in _TEXTS else "a table"
            raise ArtifactError(f"{folder.name}/{CARD_NAME}: {key} must be {kind}")
    return Card(**known, folder=path.parent)
