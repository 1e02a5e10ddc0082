"""``mien`` as a worker process of benchmarks/peers/protocol.py.

python -m benchmarks.worker [THREADS|all [fer2013]]: with ``fer2013`` crops are classified by the
network's output for FER2013's labels alone, without the other output and the calibration.
"""

import sys

import numpy as np

from benchmarks.peers.protocol import CROP_SIDE, System, imported, serve, threads
from mien import Recognizer

imported()

recognizer = Recognizer(threads=threads())
of_crops = Recognizer(
    crop=True, labels="eight", detector=recognizer.detector, model=recognizer.classifier
)


def analyze(data: bytes) -> list[dict[str, object]]:
    faces = recognizer.analyze(data).faces
    return [
        {"box": list(f.box.xyxy), "scores": dict(f.scores)}
        for f in sorted(faces, key=lambda face: -(face.detection or 0))
    ]


def classify(crops: list[bytes]) -> list[dict[str, float]]:
    results = (of_crops.analyze(np.repeat(face[..., None], 3, axis=2)) for face in faces_of(crops))
    return [{e.value: score for e, score in r.faces[0].scores.items()} for r in results]


def classify_as_fer2013(crops: list[bytes]) -> list[dict[str, float]]:
    # Imported here, so that memory and start-up time are those of serving.
    from mien_train.data.fer2013 import FER2013_LABELS  # noqa: PLC0415
    from mien_train.evaluate import crops_of_faces, uncalibrated  # noqa: PLC0415

    classifier = recognizer.classifier
    outputs = classifier.outputs(crops_of_faces(faces_of(crops), classifier.crop))
    rows = uncalibrated(classifier, outputs[1]).tolist()
    return [dict(zip(FER2013_LABELS, row, strict=True)) for row in rows]


def faces_of(crops: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(crops), np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE)


packages = ("mien", "onnxruntime", "numpy", "pillow")
serve(System(analyze, classify_as_fer2013 if "fer2013" in sys.argv else classify, packages))
