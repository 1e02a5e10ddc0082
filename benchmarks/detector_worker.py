"""A detector of mien as a worker process of benchmarks/peers/protocol.py, without decoding.

python -m benchmarks.detector_worker NAME [--min-face-size PX]
"""

import argparse

from benchmarks.peers.protocol import System, imported, serve
from mien.detect.registry import build_detector
from mien.image import decode_image
from mien.types import RgbImage

imported()

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--min-face-size", type=int)
arguments = parser.parse_args()
detector = build_detector(arguments.name)


def decode(data: bytes) -> RgbImage:
    return decode_image(data, max_pixels=50_000_000)


def detect(image: RgbImage) -> list[dict[str, object]]:
    faces = detector.detect(image, min_face_size=arguments.min_face_size)
    return [
        {"box": [f.box.left, f.box.top, f.box.right, f.box.bottom]}
        for f in sorted(faces, key=lambda face: -face.score)
    ]


serve(System(detect, prepare=decode))
