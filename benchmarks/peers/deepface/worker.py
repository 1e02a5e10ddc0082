"""deepface as a worker process of benchmarks/peers/protocol.py.

Argument: the number of threads; default: the library's own.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
from benchmarks.peers.protocol import CROP_SIDE, System, imported, serve, threads
from deepface import DeepFace
from deepface.commons.folder_utils import get_deepface_home
from deepface.models.demography.onnx.Emotion import WEIGHTS_URL

imported()

if count := threads():
    cv2.setNumThreads(count)
    # Its sessions use as many threads as there are cores, and there is no setting for that.
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])

# It would download missing weights; without them only detection is measured here.
folder = Path(get_deepface_home(), ".deepface", "weights")
weights = folder / Path(WEIGHTS_URL[0]).name
lacks = None
if not weights.exists():
    lacks = f"weights not found: save {WEIGHTS_URL[0]} in ~/.deepface/weights"


def analyze(data: bytes) -> list[dict[str, object]]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    # If there is no face, both calls return the whole image, without confidence.
    if lacks:
        found = DeepFace.extract_faces(picture, enforce_detection=False)
        return [{"box": box(face["facial_area"])} for face in found if face["confidence"]]
    results = DeepFace.analyze(picture, actions=["emotion"], enforce_detection=False, silent=True)
    return [
        {"box": box(face["region"]), "scores": scores_of(face)}
        for face in results
        if face["face_confidence"]
    ]


def classify(crops: list[bytes]) -> list[dict[str, float]]:
    scores = []
    for crop in crops:
        grey = np.frombuffer(crop, np.uint8).reshape(CROP_SIDE, CROP_SIDE)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        (face,) = DeepFace.analyze(
            picture, actions=["emotion"], detector_backend="skip", silent=True
        )
        scores.append(scores_of(face))
    return scores


def scores_of(face: dict[str, dict[str, float]]) -> dict[str, float]:
    return {label: float(percent) / 100 for label, percent in face["emotion"].items()}


def box(area: dict[str, int]) -> list[int]:
    return [area["x"], area["y"], area["x"] + area["w"], area["y"] + area["h"]]


packages = ("deepface", "onnxruntime", "opencv-contrib-python-headless", "numpy")
serve(System(analyze, classify, packages, lacks))
