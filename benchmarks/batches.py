"""Whether faces of concurrent requests should share a run of the classifier.

    python -m benchmarks.batches [--faces 3]

First what a face takes in runs of more and more faces, on one thread. Then as many callers as
cores ask for a few faces each, again and again: each with a run of its own on one thread, as the
service does it, or joined: whoever comes while a run is under way waits for the next one, which
takes all that have come (no wait is added) and uses all cores. In turn, so that all see the same
noise; medians of the rounds, and of the ratios within them.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from mien.classify.onnx import OnnxClassifier, load_classifier
from mien.cores import available_cores

Floats = NDArray[np.float32]
SIZES = (1, 2, 4, 8, 16, 32)
CALLS = 40


class Joined:
    """Runs all faces that have come since the last run began together."""

    def __init__(self, classifier: OnnxClassifier) -> None:
        self._classifier = classifier
        self._running = threading.Lock()
        self._coming = threading.Lock()
        self._pending: list[tuple[Floats, Future[Floats]]] = []

    def predict(self, crops: Floats) -> Floats:
        answer: Future[Floats] = Future()
        with self._coming:
            self._pending.append((crops, answer))
        with self._running:
            if not answer.done():
                self._run()
        return answer.result()

    def _run(self) -> None:
        with self._coming:
            batch, self._pending = self._pending, []
        rows = self._classifier.predict(np.concatenate([crops for crops, _ in batch]))
        ends = np.cumsum([len(crops) for crops, _ in batch])
        for (_, answer), part in zip(batch, np.split(rows, ends[:-1]), strict=True):
            answer.set_result(part)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=3, help="of each request")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    cores = available_cores()
    own, wide = load_classifier(threads=1), load_classifier(threads=cores)
    for size in SIZES:
        crops = _faces(own, size)
        took = [_seconds(lambda crops=crops: own.predict(crops)) for _ in range(arguments.rounds)]
        print(f"run of {size:2} faces: {statistics.median(took) / size * 1e3:.2f} ms a face")
    crops = _faces(own, arguments.faces)
    ways: dict[str, Callable[[Floats], Floats]] = {
        "a run each, one thread": own.predict,
        "joined, one thread": Joined(own).predict,
        f"joined, {cores} threads": Joined(wide).predict,
    }
    rounds = [[_per_s(way, crops, cores) for way in ways.values()] for _ in range(arguments.rounds)]
    print(f"{cores} callers, {arguments.faces} faces each")
    for place, name in enumerate(ways):
        ratios = [row[place] / row[0] for row in rounds]
        print(
            f"  {name:24} {statistics.median(row[place] for row in rounds):6.0f} faces/s"
            f"  x {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _faces(classifier: OnnxClassifier, count: int) -> Floats:
    side = classifier.crop.size_px
    return np.random.default_rng(0).random((count, 1, side, side), dtype=np.float32)


def _per_s(predict: Callable[[Floats], Floats], crops: Floats, callers: int) -> float:
    """Return how many faces a second the callers get together."""

    def call() -> None:
        for _ in range(CALLS):
            predict(crops)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    took = _seconds(lambda: ([t.start() for t in threads], [t.join() for t in threads]))
    return callers * CALLS * len(crops) / took


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
