"""The reference pipeline: facenet-pytorch's MTCNN, then Keras VGG19 called once per face.

Reads photo paths from standard input, one a line, and answers each with one line of JSON:
seconds from bytes to answer, faces, and the process's peak memory. The classifier has the
reference's shape (VGG19, global average pooling, 7 classes, 48 x 48 x 3) with random weights: its
time doesn't depend on them.
"""

import io
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from facenet_pytorch import MTCNN
from PIL import Image

# Without an argument both frameworks use what they use by themselves: all cores.
if len(sys.argv) > 1:
    torch.set_num_threads(int(sys.argv[1]))
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
    tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))

keras = tf.keras


def build_classifier() -> keras.Model:
    base = keras.applications.VGG19(weights=None, include_top=False, input_shape=(48, 48, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    pooled = keras.layers.Dropout(0.3)(pooled)
    return keras.Model(base.input, keras.layers.Dense(7, activation="softmax")(pooled))


DETECTOR = MTCNN(keep_all=True, min_face_size=20, device="cpu")
CLASSIFIER = build_classifier()


def analyze(data: bytes) -> int:
    """Return the number of faces with a score of at least 0.9."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    boxes, scores = DETECTOR.detect(image)
    pixels = np.asarray(image)
    faces = 0
    for box, score in zip(boxes if boxes is not None else [], scores, strict=False):
        if score < 0.9:
            continue
        left, top, right, bottom = (max(0, int(edge)) for edge in box)
        crop = Image.fromarray(pixels[top:bottom, left:right]).convert("L").resize((48, 48))
        grey = np.repeat(np.asarray(crop, dtype=np.float32)[None, :, :, None] / 255, 3, axis=3)
        CLASSIFIER.predict(grey, verbose=0)
        faces += 1
    return faces


for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    started = time.perf_counter()
    count = analyze(data)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "faces": count, "peak_mb": peak}), flush=True)
