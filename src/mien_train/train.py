"""The training loop: one recipe, checkpoints that resume to the same result, logs."""

import csv
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien_train.data.augment import augment, mixup
from mien_train.data.fer2013 import FerDataset
from mien_train.distill import teach
from mien_train.errors import TrainingError
from mien_train.models import Classifier, build_classifier
from mien_train.recipe import Phase, Recipe

CHECKPOINT_EVERY_S = 240.0
LOG_COLUMNS = ("epoch", "size_px", "loss", "ferplus_accuracy", "fer2013_accuracy", "seconds")


class InterruptedRunError(TrainingError):
    """Ctrl-C was pressed and the checkpoint is saved."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Training rows as tensors: faces (N, 48, 48) uint8, ferplus (N, 8), fer2013 (N, 7)."""

    faces: Tensor
    ferplus: Tensor
    fer2013: Tensor

    @classmethod
    def of(cls, data: FerDataset, label_smoothing: float) -> "Targets":
        hard = functional.one_hot(torch.from_numpy(data.fer2013), 7).float()
        return cls(
            torch.from_numpy(data.faces),
            torch.from_numpy(data.ferplus_distribution()),
            hard * (1 - label_smoothing) + label_smoothing / 7,
        )

    def taught(self, ferplus: Tensor, fer2013: Tensor, share: float) -> "Targets":
        """Return targets of which a share comes from teachers' probabilities."""
        # Also where a face has no emotion votes at all: there the teachers' are the only ones.
        return Targets(
            self.faces, self.ferplus.lerp(ferplus, share), self.fer2013.lerp(fer2013, share)
        )


class Trainer:
    """One training run in a folder; everything that a resume needs is in its checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        train: FerDataset,
        check: FerDataset,
        folder: Path,
        teachers: Sequence[Path] = (),
    ) -> None:
        if bool(teachers) != (recipe.teacher_share > 0):
            raise TrainingError(
                f"recipe {recipe.name}: teacher_share is {recipe.teacher_share} "
                f"and {len(teachers)} teachers are given"
            )
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        self.targets = Targets.of(train, recipe.label_smoothing)
        if teachers:
            ferplus, fer2013 = map(torch.from_numpy, teach(teachers, train))
            self.targets = self.targets.taught(ferplus, fer2013, recipe.teacher_share)
        self.check = check
        self.model = build_classifier(recipe.backbone, recipe.dropout, recipe.drop_path)
        self.average = Classifier(recipe.backbone)
        self.average.load_state_dict(self.model.state_dict())
        self.average.eval()
        self.optimizer = torch.optim.AdamW(_groups(self.model, recipe.weight_decay), fused=True)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.order = self._shuffle()
        self.loss = 0.0
        self.seconds = 0.0

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def steps_per_epoch(self) -> int:
        return len(self.targets.faces) // self.recipe.batch

    def run(self) -> None:
        """Train to the end of the recipe; after Ctrl-C save and raise InterruptedRunError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        saved_at = time.monotonic()
        with _stop_asked() as stop:
            while self.step < self.recipe.epochs * self.steps_per_epoch:
                self._advance()
                if self.step % self.steps_per_epoch == 0:
                    self._end_epoch()
                if stop() or time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
                    self.save()
                    saved_at = time.monotonic()
                if stop():
                    raise InterruptedRunError("stopped; --resume goes on from here")
        self.save()

    def _advance(self) -> None:
        started = time.monotonic()
        phase, rate = self._schedule()
        place = self.step % self.steps_per_epoch * self.recipe.batch
        rows = self.order[place : place + self.recipe.batch]
        faces = self.targets.faces[rows].unsqueeze(1).float() / 255
        faces = augment(faces, phase.size_px, self.recipe.augmentation, self.generator)
        targets = [self.targets.ferplus[rows], self.targets.fer2013[rows]]
        faces, targets = mixup(faces, targets, self.recipe.augmentation.mixup, self.generator)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.model(faces.to(memory_format=torch.channels_last)), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        self.loss += (float(loss.detach()) - self.loss) * max(0.01, 1 / self.step)
        self.seconds += time.monotonic() - started

    def _loss(self, logits: tuple[Tensor, Tensor], targets: list[Tensor]) -> Tensor:
        """Cross-entropy of both heads; a face without emotion votes adds nothing to FER+'s."""
        ferplus, fer2013 = (
            -(target * out.log_softmax(dim=1)).sum(dim=1).mean()
            for out, target in zip(logits, targets, strict=True)
        )
        return ferplus + self.recipe.fer2013_weight * fer2013

    def _schedule(self) -> tuple[Phase, float]:
        """Return the phase of this step and its learning rate: linear rise, cosine fall."""
        step = self.step
        for phase in self.recipe.phases:
            length = phase.epochs * self.steps_per_epoch
            if step < length:
                break
            step -= length
        rise = phase.warmup_epochs * self.steps_per_epoch
        if step < rise:
            return phase, phase.rate * (step + 1) / rise
        done = (step - rise) / max(1.0, length - rise)
        return phase, phase.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows closely, so that it does not remember the start.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        current = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])

    def _shuffle(self) -> Tensor:
        return torch.randperm(len(self.targets.faces), generator=self.generator)

    def _end_epoch(self) -> None:
        phase = self._phase_of(self.step - 1)
        ferplus, fer2013 = accuracies(self.average, self.check, phase.size_px)
        values = (
            self.step // self.steps_per_epoch,
            phase.size_px,
            round(self.loss, 4),
            round(ferplus, 4),
            round(fer2013, 4),
            round(self.seconds),
        )
        _append(self.folder / "log.csv", values)
        print(dict(zip(LOG_COLUMNS, values, strict=True)), flush=True)
        self.order = self._shuffle()

    def _phase_of(self, step: int) -> Phase:
        for phase in self.recipe.phases:
            step -= phase.epochs * self.steps_per_epoch
            if step < 0:
                return phase
        return self.recipe.phases[-1]

    def save(self) -> None:
        """Write the checkpoint in one move, so that a kill never leaves half a file."""
        state = {
            "recipe": asdict(self.recipe),
            "size_px": self._phase_of(max(0, self.step - 1)).size_px,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "order": self.order,
            "loss": self.loss,
            "seconds": self.seconds,
            "generator": self.generator.get_state(),
            "random": torch.get_rng_state(),
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)

    def start_from(self, checkpoint: Path) -> None:
        """Begin with the averaged weights of another run instead of ImageNet's.

        Raises TrainingError if it is no checkpoint of the same network.
        """
        try:
            weights = torch.load(checkpoint, weights_only=True)["average"]
            self.model.load_state_dict(weights)
        except (OSError, RuntimeError, LookupError, TypeError, UnpicklingError) as error:
            raise TrainingError(
                f"{checkpoint}: not a checkpoint of {self.recipe.backbone}"
            ) from error
        self.average.load_state_dict(weights)

    def resume(self) -> None:
        """Go on from the checkpoint in the folder. Raises TrainingError if there is none."""
        if not self.checkpoint_path.exists():
            raise TrainingError(f"{self.folder}: no checkpoint to go on from")
        state = torch.load(self.checkpoint_path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.order = state["step"], state["order"]
        self.loss, self.seconds = state["loss"], state["seconds"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])


@torch.no_grad()
def accuracies(model: Classifier, data: FerDataset, size_px: int) -> tuple[float, float]:
    """Return FER+ majority and FER2013 accuracy, single view, by plain bilinear enlargement."""
    ferplus, fer2013 = [], []
    for faces in torch.split(torch.from_numpy(data.faces), 256):
        crops = functional.interpolate(
            faces.unsqueeze(1).float() / 255, size=(size_px, size_px), mode="bilinear"
        )
        logits = model(crops.to(memory_format=torch.channels_last))
        ferplus.append(logits[0].argmax(1).numpy())
        fer2013.append(logits[1].argmax(1).numpy())
    majority = data.ferplus_majority()
    counted = majority >= 0
    right = np.concatenate(ferplus)[counted] == majority[counted]
    return float(right.mean()), float((np.concatenate(fer2013) == data.fer2013).mean())


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels only; norms and biases keep their scale."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def _append(path: Path, values: tuple[object, ...]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(LOG_COLUMNS)
        writer.writerow(values)


@contextmanager
def _stop_asked() -> Iterator[Any]:
    """Turn the first Ctrl-C or SIGTERM into a flag, read between steps."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    previous = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
