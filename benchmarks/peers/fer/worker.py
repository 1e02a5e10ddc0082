"""`fer` as a worker process of benchmarks/peers/protocol.py.

Argument: the number of threads; default: the library's own. As in its README, ``FER()`` detects
faces with OpenCV's Haar cascade and classifies them with a quantized TensorFlow Lite model.
"""

import cv2
import numpy as np
import tensorflow as tf
from benchmarks.peers.protocol import CROP_SIDE, System, imported, serve, threads
from fer.fer import FER

imported()

if count := threads():
    cv2.setNumThreads(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)

detector = FER()
# Crops have no margin that could be added.
of_crops = FER(offsets=(0, 0))
WHOLE_CROP = [[0, 0, CROP_SIDE, CROP_SIDE]]


def analyze(data: bytes) -> list[dict[str, object]]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    faces = []
    for face in detector.detect_emotions(picture):
        left, top, width, height = map(int, face["box"])
        box = [left, top, left + width, top + height]
        faces.append({"box": box, "scores": face["emotions"]})
    return faces


def classify(crops: list[bytes]) -> list[dict[str, float]]:
    scores = []
    for crop in crops:
        grey = np.frombuffer(crop, np.uint8).reshape(CROP_SIDE, CROP_SIDE)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        scores.append(of_crops.detect_emotions(picture, WHOLE_CROP)[0]["emotions"])
    return scores


serve(System(analyze, classify, ("fer", "tensorflow", "opencv-contrib-python", "numpy")))
