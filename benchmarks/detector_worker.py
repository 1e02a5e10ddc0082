"""One of mien's detectors as a process: a photo's path in, one line of JSON out.

python -m benchmarks.detector_worker NAME [MIN_FACE_SIZE|MODEL_FILE]
"""

import json
import resource
import sys
import time
from pathlib import Path

from mien.detect.registry import DETECTORS, build_detector
from mien.image import load_image

name, *rest = sys.argv[1:]
detector = build_detector(name, Path(rest[0]) if rest and name not in DETECTORS else None)
smallest = int(rest[0]) if rest and name in DETECTORS else None

for line in sys.stdin:
    image = load_image(line.strip(), max_pixels=50_000_000)
    started = time.perf_counter()
    faces = detector.detect(image, min_face_size=smallest)
    seconds = time.perf_counter() - started
    boxes = [
        [f.box.left, f.box.top, f.box.right, f.box.bottom]
        for f in sorted(faces, key=lambda face: -face.score)
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "boxes": boxes, "peak_mb": peak}), flush=True)
