"""A recipe: everything that decides a training run, as a small TOML file."""

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mien_train.errors import TrainingError

SPLITS = ("usage", "reference")
# For pydantic, which checks the tables of a recipe.
_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Limits of the augmentation; zero disables a change.

    shift, erase: share of the side; rotate: degrees; zoom, shear, brightness, contrast: share of 1;
    mixup: alpha of the Beta distribution; the rates: probability of mirroring, blur, JPEG's blocks,
    little contrast, a noisy rectangle (erase_rate) and covered eyes or lower half (cover_rate).
    """

    __pydantic_config__ = _CLOSED

    shift: float = 0.08
    rotate: float = 15.0
    zoom: float = 0.12
    shear: float = 0.08
    flip_rate: float = 0.5
    brightness: float = 0.25
    contrast: float = 0.25
    blur_rate: float = 0.0
    jpeg_rate: float = 0.0
    fade_rate: float = 0.0
    erase: float = 0.4
    erase_rate: float = 0.25
    cover_rate: float = 0.0
    mixup: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase of training at one input size, with a cosine schedule from ``rate`` to nearly zero.

    size_px: side of the input; epochs: passes over the data; rate: peak learning rate;
    warmup_epochs: linear rise at the start.
    """

    __pydantic_config__ = _CLOSED

    size_px: int
    epochs: int
    rate: float
    warmup_epochs: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When to stop early; the best epoch is then saved too.

    patience: epochs without an improvement of ``metric`` by more than ``min_delta``; metric: named
    as in the log, measured on PublicTest after every epoch.
    """

    __pydantic_config__ = _CLOSED

    patience: Annotated[int, Field(ge=1)]
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    metric: Literal["ferplus_accuracy", "fer2013_accuracy", "validation_loss"] = "ferplus_accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to train and how; see recipes/*.toml for the packaged ones.

    ferplus_weight, fer2013_weight: of the two outputs' losses; without weight the
    FER+ output is left out of the exported model.
    split: ``usage``, the data's own, or ``reference``, the baseline's.
    weights: file or address of start weights, instead of the backbone's own, or ``random``.
    frozen_blocks: the stem and this many blocks of the backbone keep their weights, which halves
    the time of a run that continues another one; 0: all weights are trained.
    natural_repeat: how often an epoch has each natural face; above 0, their folder is required.
    teacher_share: share of the targets that comes from teachers, 0 to 1; above 0 needs them.
    """

    __pydantic_config__ = _CLOSED

    name: str
    backbone: str
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    batch: int = 64
    weight_decay: float = 0.05
    dropout: float = 0.2
    drop_path: float = 0.1
    label_smoothing: float = 0.1
    ferplus_weight: Annotated[float, Field(ge=0)] = 1.0
    fer2013_weight: Annotated[float, Field(gt=0)] = 0.5
    split: Literal["usage", "reference"] = "usage"
    weights: str | None = None
    frozen_blocks: int = 0
    natural_repeat: int = 0
    teacher_share: float = 0.0
    ema: float = 0.999
    seed: int = 42
    augmentation: Augmentation = field(default_factory=Augmentation)
    early_stopping: EarlyStopping | None = None

    @property
    def epochs(self) -> int:
        """Passes over the data in all phases together."""
        return sum(phase.epochs for phase in self.phases)


def load_recipe(name_or_path: str) -> Recipe:
    """Read a packaged recipe by its name, or any recipe by its path.

    Raises TrainingError for an unknown name or key, or a value that is not allowed.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        shipped = resources.files("mien_train") / "recipes" / f"{name_or_path}.toml"
        if not shipped.is_file():
            raise TrainingError(
                f"no recipe {name_or_path!r}; there are {', '.join(recipe_names())}"
            )
        return _parse(shipped.read_text(), name_or_path)
    if not path.is_file():
        raise TrainingError(f"{path}: no such recipe file")
    return _parse(path.read_text(), path.stem)


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes."""
    folder = resources.files("mien_train") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def _parse(text: str, name: str) -> Recipe:
    try:
        return TypeAdapter(Recipe).validate_python({"name": name, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise TrainingError(f"{name}: not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise TrainingError(f"{name}: {'; '.join(wrong)}") from error
