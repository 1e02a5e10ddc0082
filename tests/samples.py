"""Made-up pictures, faces and a pipeline without weights."""

import io
from collections.abc import Callable

from PIL import Image

from mien.pipeline import Options
from mien.types import Box, Emotion, FaceEmotion, ImageResult, Landmarks, RgbImage, Timings


def encode(picture: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format_, **options)
    return stream.getvalue()


def emotion_of(emotion: Emotion, confidence: float) -> dict[Emotion, float]:
    rest = (1 - confidence) / 5
    return {e: confidence if e == emotion else rest for e in tuple(Emotion)[:6]}


def make_face(
    left: float, top: float, width: float, height: float, emotion: Emotion = Emotion.HAPPY
) -> FaceEmotion:
    points = [
        (left + width * fx, top + height * fy)
        for fx, fy in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    ]
    return FaceEmotion(
        box=Box(left=left, top=top, right=left + width, bottom=top + height),
        emotion=emotion,
        confidence=0.9375,
        scores=emotion_of(emotion, 0.9375),
        detection=0.99,
        landmarks=Landmarks(*points),
    )


class StubPipeline:
    """Finds two faces in any picture that is wide enough, none in others."""

    def __init__(self, faces: Callable[[RgbImage], tuple[FaceEmotion, ...]] | None = None) -> None:
        self.asked: list[Options | None] = []
        self._faces = faces or _two_faces

    def enough_pixels(self, options: Options) -> int | None:
        return None

    def analyze(self, image: RgbImage, options: Options | None = None) -> ImageResult:
        self.asked.append(options)
        return ImageResult(
            width=image.width,
            height=image.height,
            faces=self._faces(image),
            seconds=Timings(detect=0.01, classify=0.002),
        )


def _two_faces(image: RgbImage) -> tuple[FaceEmotion, ...]:
    if image.width < 100:
        return ()
    return make_face(50, 40, 30, 40), make_face(10, 20, 20, 25, Emotion.SAD)
