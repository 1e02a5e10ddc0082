"""Time of a photo on each execution provider of the installed ONNX Runtime, compared with the CPU.

    python -m benchmarks.providers [PROVIDER ...]

All providers analyze the same decoded photos in turn, with one thread each, so that other load on
the machine affects them alike. Prints for each the median time, the median and the 10th and 90th
percentiles of its ratio to the CPU within each round, and whether the results agree. Without names
all available providers are measured; docs/gpu.md shows how to install a build with another one.
"""

import argparse
import math
import statistics
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime

from benchmarks.synthetic import many_faces, one_face
from mien.image import decode_image
from mien.recognizer import MAX_PIXELS, Recognizer
from mien.runtime.providers import PROVIDERS
from mien.types import FaceEmotion, RgbImage

PHOTOS = {
    "640 x 480, one face": one_face(640, 480),
    "640 x 480, ten faces": many_faces(640, 480, 5, 2),
    "1920 x 1080, one face": one_face(1920, 1080),
}
# Tolerances for other orders of floating-point sums.
SAME_PX = 1.0
SAME_CONFIDENCE = 0.01


def main() -> None:
    available = onnxruntime.get_available_providers()
    names = [name for name, provider in PROVIDERS.items() if provider.ort_name in available]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("providers", nargs="*", default=names, metavar="PROVIDER")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    recognizers = {}
    for name in dict.fromkeys(["cpu", *arguments.providers]):
        began = time.perf_counter()
        recognizers[name] = Recognizer(providers=name)
        print(f"{name}: loaded in {time.perf_counter() - began:.2f} s")
    print(f"ONNX Runtime {onnxruntime.__version__}, {arguments.rounds} rounds")
    for photo, content in PHOTOS.items():
        report(photo, decode_image(content, max_pixels=MAX_PIXELS), recognizers, arguments.rounds)


def report(photo: str, image: RgbImage, recognizers: dict[str, Recognizer], rounds: int) -> None:
    results = {name: recognizer.analyze(image) for name, recognizer in recognizers.items()}
    times_s: dict[str, list[float]] = {name: [] for name in recognizers}
    for _ in range(rounds):
        for name, recognizer in recognizers.items():
            began = time.perf_counter()
            recognizer.analyze(image)
            times_s[name].append(time.perf_counter() - began)
    cpu_s = times_s.pop("cpu")
    print(f"{photo}: cpu {statistics.median(cpu_s) * 1e3:.1f} ms")
    for name, taken_s in times_s.items():
        ratios = [own / cpu for own, cpu in zip(taken_s, cpu_s, strict=True)]
        first, *_, last = statistics.quantiles(ratios, n=10)
        agrees = same(results[name].faces, results["cpu"].faces)
        print(
            f"  {name} {statistics.median(taken_s) * 1e3:.1f} ms, "
            f"{statistics.median(ratios):.2f} times as long ({first:.2f} to {last:.2f}), "
            f"{'the same results' if agrees else 'DIFFERENT RESULTS'}"
        )


def same(ours: Sequence[FaceEmotion], theirs: Sequence[FaceEmotion]) -> bool:
    """Return whether both have the same faces with the same emotions."""
    return len(ours) == len(theirs) and all(
        one.emotion == other.emotion
        and math.isclose(one.confidence, other.confidence, abs_tol=SAME_CONFIDENCE)
        and np.allclose(one.box.xyxy, other.box.xyxy, rtol=0, atol=SAME_PX)
        for one, other in zip(ours, theirs, strict=True)
    )


if __name__ == "__main__":
    main()
