"""The baseline: facenet-pytorch's MTCNN, then a Keras VGG19 called once per face.

The classifier has the original architecture (VGG19, global average pooling, 7 classes, 48 x 48 x 3)
with random weights, which do not affect its speed.
"""

import io

import numpy as np
import tensorflow as tf
from facenet_pytorch import MTCNN
from PIL import Image

keras = tf.keras
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def build_classifier() -> keras.Model:
    base = keras.applications.VGG19(weights=None, include_top=False, input_shape=(48, 48, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    pooled = keras.layers.Dropout(0.3)(pooled)
    return keras.Model(base.input, keras.layers.Dense(7, activation="softmax")(pooled))


DETECTOR = MTCNN(keep_all=True, min_face_size=20, device="cpu")
CLASSIFIER = build_classifier()


def analyze(data: bytes) -> list[dict[str, object]]:
    """Return the faces with a score of at least 0.9, each with an emotion."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    boxes, scores = DETECTOR.detect(image)
    pixels = np.asarray(image)
    faces = []
    for box, score in zip(boxes if boxes is not None else [], scores, strict=False):
        if score < 0.9:
            continue
        left, top, right, bottom = (max(0, int(edge)) for edge in box)
        crop = Image.fromarray(pixels[top:bottom, left:right]).convert("L").resize((48, 48))
        grey = np.repeat(np.asarray(crop, dtype=np.float32)[None, :, :, None] / 255, 3, axis=3)
        row = CLASSIFIER.predict(grey, verbose=0)[0]
        faces.append(
            {
                "bounding_box": [left, top, right - left, bottom - top],
                "emotion": EMOTIONS[int(row.argmax())],
                "confidence": float(row.max()),
            }
        )
    return faces
