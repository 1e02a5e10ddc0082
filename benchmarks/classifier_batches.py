"""Whether to batch faces of concurrent requests in the classifier.

    python -m benchmarks.classifier_batches [--faces 3]

First, the time per face for increasing batch sizes, on one thread. Then as many clients as cores
classify a few faces each, repeatedly: either each in a run of its own on one thread, as the service
does, or joined, where requests that arrive during a run are combined in the next one, without an
added wait, on one thread or on all cores. The variants alternate, so that all see the same noise.
Prints medians of the rounds, and of the ratios within them.
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
    """Combines all requests that arrived since the last run began in one run."""

    def __init__(self, classifier: OnnxClassifier) -> None:
        self._classifier = classifier
        self._running = threading.Lock()
        self._coming = threading.Lock()
        self._pending: list[tuple[Floats, Future[Floats]]] = []

    def predict(self, crops: Floats) -> Floats:
        future: Future[Floats] = Future()
        with self._coming:
            self._pending.append((crops, future))
        with self._running:
            if not future.done():
                self._run()
        return future.result()

    def _run(self) -> None:
        with self._coming:
            batch, self._pending = self._pending, []
        # Not ``predict``, which splits it.
        crops = np.concatenate([crops for crops, _ in batch])
        detail = self._classifier.fine_detail(crops)
        rows = self._classifier.probabilities(self._classifier.outputs(crops), detail)
        ends = np.cumsum([len(crops) for crops, _ in batch])
        for (_, future), part in zip(batch, np.split(rows, ends[:-1]), strict=True):
            future.set_result(part)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=3, help="faces of each request")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    cores = available_cores()
    own, wide = load_classifier(threads=1), load_classifier(threads=cores)
    for size in SIZES:
        crops = _faces(own, size)
        took = [_seconds(lambda crops=crops: own.outputs(crops)) for _ in range(arguments.rounds)]
        print(f"run of {size:2} faces: {statistics.median(took) / size * 1e3:.2f} ms a face")
    crops = _faces(own, arguments.faces)
    ways: dict[str, Callable[[Floats], Floats]] = {
        "a run each, one thread": own.predict,
        "joined, one thread": Joined(own).predict,
        f"joined, {cores} threads": Joined(wide).predict,
    }
    rounds = [[_per_s(way, crops, cores) for way in ways.values()] for _ in range(arguments.rounds)]
    print(f"{cores} clients, {arguments.faces} faces each")
    for place, name in enumerate(ways):
        ratios = [row[place] / row[0] for row in rounds]
        print(
            f"  {name:24} {statistics.median(row[place] for row in rounds):6.0f} faces/s"
            f"  x {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _faces(classifier: OnnxClassifier, count: int) -> Floats:
    side = classifier.crop.size_px
    return np.random.default_rng(0).random((count, 1, side, side), dtype=np.float32)


def _per_s(predict: Callable[[Floats], Floats], crops: Floats, clients: int) -> float:
    """Return the faces per second of all clients together."""

    def call() -> None:
        for _ in range(CALLS):
            predict(crops)

    threads = [threading.Thread(target=call) for _ in range(clients)]
    took = _seconds(lambda: ([t.start() for t in threads], [t.join() for t in threads]))
    return clients * CALLS * len(crops) / took


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
