"""The training loop: one recipe, checkpoints that resume to the same result, logs."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien_train.checkpoint import read_checkpoint, write_checkpoint
from mien_train.data.augment import augment, mixup
from mien_train.data.fer2013 import FER2013_LABELS, FerDataset
from mien_train.device import keep_freed_memory, random_state, repeat_exactly, set_random_state
from mien_train.distill import teach
from mien_train.early_stopping import Patience
from mien_train.errors import InterruptedRunError, TrainingError
from mien_train.interrupt import stop_requested
from mien_train.models import Classifier, build_classifier
from mien_train.monitor import EpochReport, Monitor, StepReport
from mien_train.recipe import Phase, Recipe
from mien_train.targets import Targets
from mien_train.validation import validate

__all__ = ["Trainer"]

CHECKPOINT = "checkpoint.pt"
BEST_CHECKPOINT = "best.pt"
# Together with the validation at the end of an epoch, this stays well under five minutes.
CHECKPOINT_EVERY_S = 120.0


class Trainer:
    """One training run in a folder; its checkpoint has everything that is needed to resume."""

    def __init__(
        self,
        recipe: Recipe,
        train: FerDataset,
        check: FerDataset,
        folder: Path,
        teachers: Sequence[Path] = (),
        *,
        device: torch.device | None = None,
        bfloat16: bool | None = None,
        monitors: Sequence[Monitor] = (),
    ) -> None:
        """Prepare a run.

        Args:
            recipe: What to train and how.
            train: The faces to train on.
            check: The faces for the metrics at the end of each epoch.
            folder: Gets the checkpoint.
            teachers: ONNX files of models that predict a share of the targets.
            device: None: the CPU.
            bfloat16: Whether the network runs in bfloat16. None: on CUDA only.
            monitors: Receive the progress.

        Raises:
            TrainingError: Recipe, faces and teachers do not fit together.
        """
        if bool(teachers) != (recipe.teacher_share > 0):
            raise TrainingError(
                f"recipe {recipe.name}: teacher_share is {recipe.teacher_share} "
                f"and {len(teachers)} teachers are given"
            )
        if len(train) < recipe.batch:
            raise TrainingError(f"{len(train)} training faces are less than one batch")
        self.device = device or torch.device("cpu")
        self.bfloat16 = self.device.type == "cuda" if bfloat16 is None else bfloat16
        repeat_exactly(self.device)
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        targets = Targets.from_dataset(train, recipe.label_smoothing)
        if teachers:
            ferplus, fer2013 = map(torch.from_numpy, teach(teachers, train))
            targets = targets.distilled(ferplus, fer2013, recipe.teacher_share)
        self.targets = targets.to(self.device)
        self.check, self.check_targets = check, Targets.from_dataset(check, 0.0).to(self.device)
        self.about_data = _about(train, teachers)
        # Output whose accuracy is shown: the first one with labels.
        self.shown_output = 0 if recipe.ferplus_weight and bool(targets.ferplus.any()) else 1
        self.model = build_classifier(
            recipe.backbone, recipe.dropout, recipe.drop_path, recipe.weights
        )
        self.frozen = self.model.freeze(recipe.frozen_blocks) if recipe.frozen_blocks else []
        self.average = Classifier(recipe.backbone)
        self.average.load_state_dict(self.model.state_dict())
        self.average.eval()
        self.model.to(self.device)
        self.average.to(self.device)
        self.optimizer = torch.optim.AdamW(_groups(self.model, recipe.weight_decay), fused=True)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.monitors = monitors
        self.patience = Patience(recipe.early_stopping) if recipe.early_stopping else None
        self.step = 0
        self.order = self._shuffle()
        self.loss = 0.0
        self.accuracy = 0.0
        self.seconds = 0.0

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def steps_per_epoch(self) -> int:
        return len(self.targets.faces) // self.recipe.batch

    @property
    def is_done(self) -> bool:
        """Whether the recipe is complete, or early stopping has ended the run."""
        complete = self.step >= self.recipe.epochs * self.steps_per_epoch
        return complete or (self.patience is not None and self.patience.is_over)

    def run(self) -> None:
        """Train to the end of the recipe; after Ctrl-C save and raise InterruptedRunError."""
        keep_freed_memory()
        for monitor in self.monitors:
            monitor.begin(self._report())
        try:
            with stop_requested() as stop:
                self._run(stop)
        finally:
            for monitor in self.monitors:
                monitor.end()

    def _run(self, stop: Callable[[], bool]) -> None:
        saved_at = time.monotonic()
        while not self.is_done:
            self._advance()
            for monitor in self.monitors:
                monitor.step(self._report())
            if self.step % self.steps_per_epoch == 0:
                self._end_epoch()
            if stop() or time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
                self.save()
                saved_at = time.monotonic()
            if stop() and not self.is_done:
                raise InterruptedRunError(
                    f"stopped after step {self.step}, saved in {self.checkpoint_path}"
                )
        self.save()

    def _advance(self) -> None:
        started = time.monotonic()
        faces, targets = self.next_batch()
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        for layer in self.frozen:
            layer.eval()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            ferplus, fer2013 = self.model(faces.to(memory_format=torch.channels_last))
        logits = ferplus.float(), fer2013.float()
        loss = self._loss(logits, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        self._update_shown(
            float(loss.detach()), logits[self.shown_output], targets[self.shown_output]
        )
        self.seconds += time.monotonic() - started

    def next_batch(self) -> tuple[Tensor, list[Tensor]]:
        """Return this step's augmented faces (N, 1, S, S) and the targets of both outputs.

        The whole batch is augmented at once on the training device, without worker processes.
        """
        phase, _ = self._phase_at(self.step)
        place = self.step % self.steps_per_epoch * self.recipe.batch
        rows = self.order[place : place + self.recipe.batch].to(self.device)
        faces = self.targets.faces[rows].unsqueeze(1).float() / 255
        faces = augment(faces, phase.size_px, self.recipe.augmentation, self.generator)
        targets = [self.targets.ferplus[rows], self.targets.fer2013[rows]]
        return mixup(faces, targets, self.recipe.augmentation.mixup, self.generator)

    @torch.no_grad()
    def _update_shown(self, loss: float, logits: Tensor, targets: Tensor) -> None:
        """Smooth the displayed loss and accuracy. Raises TrainingError if training has diverged."""
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} after step {self.step}: try a smaller rate in the recipe"
            )
        weight = max(0.01, 1 / self.step)
        self.loss += (loss - self.loss) * weight
        known = targets.sum(dim=1) > 0
        right = (logits.argmax(dim=1) == targets.argmax(dim=1)) & known
        share = float(right.sum()) / max(1, int(known.sum()))
        self.accuracy += (share - self.accuracy) * weight

    def _loss(self, logits: tuple[Tensor, Tensor], targets: list[Tensor]) -> Tensor:
        """Cross-entropy of both outputs; a face without emotion votes adds nothing to FER+'s."""
        ferplus, fer2013 = (
            -(target * out.log_softmax(dim=1)).sum(dim=1).mean()
            for out, target in zip(logits, targets, strict=True)
        )
        return self.recipe.ferplus_weight * ferplus + self.recipe.fer2013_weight * fer2013

    def _phase_at(self, step: int) -> tuple[Phase, int]:
        """Return the phase of a step, and how many steps of the phase are before it."""
        for phase in self.recipe.phases:
            length = phase.epochs * self.steps_per_epoch
            if step < length:
                break
            step -= length
        return phase, step

    def _rate(self) -> float:
        """Return the learning rate of this step: linear rise, cosine fall."""
        phase, step = self._phase_at(self.step)
        rise = phase.warmup_epochs * self.steps_per_epoch
        if step < rise:
            return phase.rate * (step + 1) / rise
        done = (step - rise) / max(1.0, phase.epochs * self.steps_per_epoch - rise)
        return phase.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    @torch.no_grad()
    def _update_average(self) -> None:
        # At first the average follows closely, so that the initial weights are forgotten quickly.
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
        report = self._validated()
        for monitor in self.monitors:
            monitor.epoch(report)
        self.order = self._shuffle()
        if self.patience is not None and self.patience.improved(report):
            self.save(BEST_CHECKPOINT)

    def _validated(self) -> EpochReport:
        phase, _ = self._phase_at(self.step - 1)
        loss, ferplus, fer2013 = validate(
            self.average, self.check, self.check_targets, phase.size_px, self._loss
        )
        return EpochReport(
            epoch=self.step // self.steps_per_epoch,
            step=self.step,
            size_px=phase.size_px,
            loss=self.loss,
            accuracy=self.accuracy,
            validation_loss=loss,
            ferplus_accuracy=ferplus,
            fer2013_accuracy=fer2013,
            rate=float(self.optimizer.param_groups[0]["lr"]),
            seconds=self.seconds,
        )

    def _report(self) -> StepReport:
        return StepReport(
            step=self.step,
            steps=self.recipe.epochs * self.steps_per_epoch,
            epoch=self.step // self.steps_per_epoch,
            loss=self.loss,
            accuracy=self.accuracy,
            rate=float(self.optimizer.param_groups[0]["lr"]),
        )

    def save(self, name: str = CHECKPOINT) -> None:
        """Write a checkpoint into the folder. Raises TrainingError if that fails."""
        state = {
            "recipe": asdict(self.recipe),
            "data": self.about_data,
            "size_px": self._phase_at(max(0, self.step - 1))[0].size_px,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "order": self.order,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "seconds": self.seconds,
            "generator": self.generator.get_state(),
            "random": random_state(self.device),
            "patience": self.patience.state() if self.patience else None,
        }
        write_checkpoint(self.folder / name, state)

    def start_from(self, checkpoints: Sequence[Path]) -> None:
        """Start from the mean of other runs' averaged weights instead of ImageNet weights.

        Raises TrainingError if one is not a checkpoint of the same network.
        Source of the mean: Wortsman et al. 2022, arXiv 2203.05482.
        """
        states = [self._weights_of(checkpoint) for checkpoint in checkpoints]
        mean = {
            name: torch.stack([state[name] for state in states]).mean(dim=0)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
        self.model.load_state_dict(mean)
        self.average.load_state_dict(mean)

    def _weights_of(self, checkpoint: Path) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = read_checkpoint(checkpoint)["average"]
        try:
            self.average.load_state_dict(weights)
        except RuntimeError as error:
            raise TrainingError(
                f"{checkpoint}: not a checkpoint of {self.recipe.backbone}"
            ) from error
        return weights

    def resume(self) -> None:
        """Resume from the checkpoint in the folder.

        Raises TrainingError if there is none, or it was made with another recipe, other data or
        other teachers.
        """
        state = read_checkpoint(self.checkpoint_path)
        self._compare(state)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.order = state["step"], state["order"]
        self.loss, self.accuracy = state["loss"], state["accuracy"]
        self.seconds = state["seconds"]
        self.generator.set_state(state["generator"])
        set_random_state(self.device, state["random"])
        if self.patience is not None:
            self.patience.restore(state["patience"])

    def _compare(self, state: dict[str, Any]) -> None:
        """Refuse a checkpoint of a run with another recipe or other data."""
        recipe = asdict(self.recipe)
        changed = [k for k, v in state["recipe"].items() if k != "name" and recipe.get(k) != v]
        if changed:
            raise TrainingError(
                f"{self.folder} was started with another {', '.join(changed)} in the recipe: "
                "--resume with that, or choose another --out"
            )
        if state["data"] != self.about_data:
            raise TrainingError(
                f"{self.folder} was started with other faces, labels or teachers: "
                "--resume with those, or choose another --out"
            )


def _about(data: FerDataset, teachers: Sequence[Path]) -> dict[str, Any]:
    """Return the record of the training data: counts, and digests that identify it."""
    digest = hashlib.sha256()
    for array in (data.faces, data.fer2013, data.votes):
        digest.update(array.tobytes())
    return {
        "faces": len(data),
        "faces_with_votes": int((data.ferplus_distribution().sum(axis=1) > 0).sum()),
        "labels": {
            label: int((data.fer2013 == index).sum()) for index, label in enumerate(FER2013_LABELS)
        },
        "sha256": digest.hexdigest(),
        "teachers": [hashlib.sha256(path.read_bytes()).hexdigest() for path in teachers],
    }


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels only; norms and biases keep their scale."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
