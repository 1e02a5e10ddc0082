"""``mien`` compared with the baseline: the same photos, in turn, in one run.

    make bench

The baseline is facenet-pytorch's MTCNN with a Keras VGG19. It runs in an environment of its own
(.venv-reference, several gigabytes), once with its defaults and all cores and once with one thread;
``mien`` uses one. In each round each system analyzes each photo three times, of which the median
counts; the systems alternate, so that all see the same noise. Prints the medians of the rounds and
the ratios within them, with their spread.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.photos import many_faces, one_face
from benchmarks.process import Worker

OURS = (sys.executable, "-m", "benchmarks.worker", "1")
REFERENCE = ("-m", "benchmarks.peers.reference.worker")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", default=".venv-reference/bin/python", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    photos = {
        "640 x 480, one face": one_face(640, 480),
        "640 x 480, ten faces": many_faces(640, 480, 5, 2),
        "1920 x 1080, one face": one_face(1920, 1080),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for index, (name, data) in enumerate(photos.items()):
            paths[name] = Path(folder) / f"{index}.jpg"
            paths[name].write_bytes(data)
        first_answers(next(iter(paths.values())), arguments.reference, 3)
        compare(paths, arguments.reference, arguments.rounds)


def compare(photos: dict[str, Path], reference: str, rounds: int) -> None:
    """Print the table, with ratios to the first worker, ``mien``."""
    workers = [
        Worker.start("mien", *OURS),
        Worker.start("baseline", reference, *REFERENCE),
        Worker.start("baseline, one thread", reference, *REFERENCE, "1"),
    ]
    smallest = next(iter(photos.values()))
    for worker in workers:
        worker.ask(smallest)
        print(f"{worker.name}: {worker.peak_mb:.0f} MB after the first result")
    for name, path in photos.items():
        print(f"\n{name}")
        predictions = [[worker.ask_again(path) for worker in workers] for _ in range(rounds)]
        for position, worker in enumerate(workers):
            seconds = [prediction[position]["seconds"] for prediction in predictions]
            ratios = [
                s / prediction[0]["seconds"]
                for s, prediction in zip(seconds, predictions, strict=True)
            ]
            print(
                f"  {worker.name:22} {statistics.median(seconds) * 1e3:8.1f} ms"
                f"  x {statistics.median(ratios):5.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
                f"  {len(predictions[0][position]['faces'])} faces"
            )
    print()
    for worker in workers:
        print(f"{worker.name}: peak memory {worker.peak_mb:.0f} MB")
        worker.stop()


def first_answers(photo: Path, reference: str, rounds: int) -> None:
    """Print the seconds from the start of a process to its first result, one process at a time."""
    print("from start to first result")
    for name, command in (
        ("mien", OURS),
        ("baseline", (reference, *REFERENCE)),
    ):
        taken = []
        for _ in range(rounds):
            worker = Worker.start(name, *command)
            worker.ask(photo)
            taken.append(worker.first_answer_s)
            worker.stop()
        print(
            f"  {name:22} {statistics.median(taken):8.2f} s ({min(taken):.2f} to {max(taken):.2f})"
        )


if __name__ == "__main__":
    main()
