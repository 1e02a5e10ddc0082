"""Where a photo's time goes: a per-stage profile of detection, in milliseconds.

OPENBLAS_NUM_THREADS=1 python -m benchmarks.detection [--min-face-size PX] [PHOTO...]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.photos import one_face
from mien.classify.crop import region_of_face
from mien.classify.onnx import load_classifier
from mien.classify.preprocess import CropSpec
from mien.detect.mtcnn import MtcnnDetector
from mien.detect.mtcnn.cascade import Stage, _inside, _scored
from mien.detect.mtcnn.pyramid import level_size, pyramid_scales
from mien.image import decode_image
from mien.types import RgbImage

MAX_PIXELS = 50_000_000
# Multiplications of the networks' convolutions and dense layers: a pixel of a level, a crop.
PNET_MACS, RNET_MACS, ONET_MACS = 1_820, 1_530_000, 12_900_000
MATRIX_SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--min-face-size", type=int, help="search exactly, from this size on")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    photos = {path.name: path.read_bytes() for path in arguments.photos}
    photos = photos or {"640 x 480": one_face(640, 480), "1920 x 1080": one_face(1920, 1080)}
    matrix = np.random.default_rng(0).random((MATRIX_SIDE, MATRIX_SIDE), dtype=np.float32)
    milliseconds = _median_ms(lambda: matrix @ matrix, arguments.rounds)
    print(f"a product of matrices: {MATRIX_SIDE**3 / milliseconds / 1e6:.0f} GMAC/s")
    for name, data in photos.items():
        print(name)
        for stage, milliseconds in profile(data, arguments.min_face_size, arguments.rounds):
            print(f"  {stage:36} {milliseconds:8.2f}")


def profile(data: bytes, min_face_size: int | None, rounds: int) -> list[tuple[str, float]]:
    """Return the median milliseconds of each stage."""
    image = decode_image(data, max_pixels=MAX_PIXELS)
    detector, classifier = MtcnnDetector(), load_classifier()
    cascade = detector._cascade
    search = detector.search(image, min_face_size)
    table = cascade.pyramid(image, search)
    scales = pyramid_scales(
        table.height, table.width, search.min_face_size / search.shrink, search.factor
    )
    sizes = [level_size(table.height, table.width, scale) for scale in scales]

    def levels_of() -> list[np.ndarray]:
        pairs = zip(table.levels(sizes), sizes, strict=True)
        return [level(0, height) for level, (height, _) in pairs]

    levels = levels_of()
    boxes = cascade.propose(table, search)
    refined = cascade.refine(table, boxes, search)
    faces = detector.detect(image, min_face_size=min_face_size)
    crops = _crops(image, faces, classifier.crop)
    pixels = sum(level.shape[2] * level.shape[3] for level in levels)
    rnet = table.crops(_inside(boxes, table.width, table.height), 24)
    onet = table.crops(_inside(refined, table.width, table.height), 48)
    stages: list[tuple[str, Callable[[], object]]] = [
        ("decode", lambda: decode_image(data, max_pixels=MAX_PIXELS)),
        ("shrink, or area table", lambda: cascade.pyramid(image, search)),
        (f"pyramid ({len(levels)} levels)", levels_of),
        (f"P-Net ({pixels / 1e6:.2f} Mpx)", lambda: _pnet(cascade, levels)),
        (f"propose, all ({len(boxes)} out)", lambda: cascade.propose(table, search)),
        (f"R-Net ({len(rnet)} crops)", lambda: _batches(cascade._rnet, rnet)),
        (f"refine, all ({len(refined)} out)", lambda: cascade.refine(table, boxes, search)),
        (f"O-Net ({len(onet)} crops)", lambda: _batches(cascade._onet, onet)),
        (f"output, all ({len(faces)} out)", lambda: cascade.output(table, refined, search)),
        ("crops", lambda: _crops(image, faces, classifier.crop)),
        ("classify", lambda: classifier.predict(crops)),
        ("detect, all", lambda: detector.detect(image, min_face_size=min_face_size)),
    ]
    macs = {
        "P-Net": PNET_MACS * pixels,
        "R-Net": RNET_MACS * len(rnet),
        "O-Net": ONET_MACS * len(onet),
    }
    measured = [(name, _median_ms(run, rounds)) for name, run in stages]
    return [(f"{name}{_rate(macs, name, taken)}", taken) for name, taken in measured]


def _rate(macs: dict[str, int], name: str, milliseconds: float) -> str:
    network = name.split(maxsplit=1)[0]
    return f", {macs[network] / milliseconds / 1e6:.0f} GMAC/s" if network in macs else ""


def _batches(stage: Stage, crops: np.ndarray) -> None:
    for at in range(0, len(crops), stage._batch):
        _scored(stage._session, crops[at : at + stage._batch])


def _pnet(cascade: object, levels: list[np.ndarray]) -> None:
    for level in levels:
        _scored(cascade._pnet, level)


def _crops(image: RgbImage, faces: tuple, crop: CropSpec) -> np.ndarray:
    return crop.crops(image, [region_of_face(face) for face in faces])


def _median_ms(run: Callable[[], object], rounds: int) -> float:
    run()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e3


if __name__ == "__main__":
    main()
