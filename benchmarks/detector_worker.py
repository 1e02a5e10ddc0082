"""A detector of mien as a worker process of benchmarks/peers/protocol.py, without decoding.

python -m benchmarks.detector_worker NAME [MIN_FACE_SIZE|MODEL_FILE]
"""

import sys
from pathlib import Path

from benchmarks.peers.protocol import System, imported, serve
from mien.detect.registry import DETECTORS, build_detector
from mien.image import decode_image
from mien.types import RgbImage

imported()

name, *rest = sys.argv[1:]
detector = build_detector(name, Path(rest[0]) if rest and name not in DETECTORS else None)
smallest = int(rest[0]) if rest and name in DETECTORS else None


def decode(data: bytes) -> RgbImage:
    return decode_image(data, max_pixels=50_000_000)


def detect(image: RgbImage) -> list[dict[str, object]]:
    faces = detector.detect(image, min_face_size=smallest)
    return [
        {"box": [f.box.left, f.box.top, f.box.right, f.box.bottom]}
        for f in sorted(faces, key=lambda face: -face.score)
    ]


serve(System(detect, prepare=decode))
