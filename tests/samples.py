"""Made-up images and faces, and a detector and a classifier without weights."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.classify.preprocess import CropSpec
from mien.types import Box, Emotion, Face, FaceEmotion, Landmarks, Quality, RgbImage

CONFIDENCE = 0.9375


def encode(picture: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format_, **options)
    return stream.getvalue()


def emotion_of(emotion: Emotion, confidence: float) -> dict[Emotion, float]:
    rest = (1 - confidence) / 5
    return {e: confidence if e == emotion else rest for e in tuple(Emotion)[:6]}


def points_of(box: Box) -> Landmarks:
    shares = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    return Landmarks(*((box.left + box.width * x, box.top + box.height * y) for x, y in shares))


def make_face(
    left: float, top: float, width: float, height: float, emotion: Emotion = Emotion.HAPPY
) -> FaceEmotion:
    box = Box(left=left, top=top, right=left + width, bottom=top + height)
    return FaceEmotion(
        box=box,
        emotion=emotion,
        confidence=CONFIDENCE,
        scores=emotion_of(emotion, CONFIDENCE),
        detection=0.99,
        landmarks=points_of(box),
        quality=Quality(
            height=round(height),
            sharpness=61.25,
            brightness=0.5,
            contrast=0.25,
            yaw=-12.5,
            pitch=3.0,
            roll=1.5,
        ),
    )


class StubDetector:
    """Finds two faces in an image that is 100 pixels wide, none in others."""

    def __init__(self) -> None:
        self.received: list[dict[str, float | None]] = []

    def detect(self, image: RgbImage, **options: float | None) -> tuple[Face, ...]:
        self.received.append(options)
        if image.width < 100:
            return ()
        boxes = (
            Box(left=50, top=40, right=80, bottom=80),
            Box(left=10, top=20, right=30, bottom=45),
        )
        return tuple(Face(box=box, score=0.99, landmarks=points_of(box)) for box in boxes)


class StubClassifier:
    """Says happy of the first face, sad of the second and so on."""

    labels = tuple(Emotion)
    crop = CropSpec(size_px=8)

    def predict(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros((len(crops), len(self.labels)), dtype=np.float32)
        rows[:, :6] = (1 - CONFIDENCE) / 5
        rows[np.arange(len(crops)), np.arange(len(crops)) % 6] = CONFIDENCE
        return rows
