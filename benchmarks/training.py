"""Time of a training step, split into making the batch and the network.

    python -m benchmarks.training [RECIPE] [--steps N] [--device cpu|cuda|mps|auto] [--bfloat16]
                                  [--free]

Trains on noise, so no data is needed. On an accelerator, a step is timed as in the real loop, which
reads the loss back in every step, so that the device is always synchronised.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mien_train import train
from mien_train.data.fer2013 import SIDE, FerDataset
from mien_train.device import choose_device
from mien_train.monitor import EpochReport, Monitor, StepReport
from mien_train.parser import DEVICES
from mien_train.recipe import Recipe, load_recipe
from mien_train.train import Trainer

WARM_UP = 3


def noise(faces: int) -> FerDataset:
    """Return random faces with random labels and votes."""
    random = np.random.default_rng(1)
    return FerDataset(
        faces=random.integers(0, 256, (faces, SIDE, SIDE), dtype=np.uint8),
        fer2013=random.integers(0, 7, faces),
        votes=random.multinomial(10, [0.1] * 10, faces).astype(np.int64),
        usage=np.full(faces, "Training"),
    )


class Stopwatch(Monitor):
    """A monitor that records the seconds of each step and of making its batch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.batches: list[float] = []
        self._at = 0.0

    def begin(self, report: StepReport) -> None:
        self._at = time.perf_counter()

    def step(self, report: StepReport) -> None:
        now = time.perf_counter()
        self.steps.append(now - self._at)
        self._at = time.perf_counter()

    def epoch(self, report: EpochReport) -> None:
        self._at = time.perf_counter()

    def timed(self, make_batch: Callable[[], object]) -> Callable[[], object]:
        """Wrap a function so that its time is recorded."""

        def run() -> object:
            started = time.perf_counter()
            batch = make_batch()
            self.batches.append(time.perf_counter() - started)
            return batch

        return run


def measure(
    recipe: Recipe, steps: int, device: torch.device, *, bfloat16: bool | None
) -> Stopwatch:
    """Train a recipe with one phase for some steps after the warm-up."""
    data = noise(recipe.batch * (steps + WARM_UP))
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        check = data.rows(np.arange(1))
        trainer = Trainer(
            recipe, data, check, Path(folder), device=device, bfloat16=bfloat16, monitors=[watch]
        )
        trainer.next_batch = watch.timed(trainer.next_batch)  # type: ignore[method-assign, assignment]
        trainer.run()
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="lite0-ferplus")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction)
    parser.add_argument(
        "--free", action="store_true", help="return freed memory to the system at once"
    )
    arguments = parser.parse_args()
    if arguments.free:
        train.keep_freed_memory = lambda: None
    recipe, device = load_recipe(arguments.recipe), choose_device(arguments.device)
    print(f"{recipe.name}, batch {recipe.batch}, {device.type}, {torch.get_num_threads()} threads")
    for phase in recipe.phases:
        only = replace(recipe, phases=(replace(phase, epochs=1),), early_stopping=None)
        only = replace(only, teacher_share=0.0)
        watch = measure(only, arguments.steps, device, bfloat16=arguments.bfloat16)
        step = statistics.median(watch.steps[WARM_UP:])
        batch = statistics.median(watch.batches[WARM_UP:])
        pace = f"{1000 * step:.0f} ms a step, {recipe.batch / step:.0f} faces/s"
        share = f"{1000 * batch:.0f} ms of it for the batch ({100 * batch / step:.0f} %)"
        print(f"{phase.size_px:4} px: {pace}, {share}", flush=True)


if __name__ == "__main__":
    main()
