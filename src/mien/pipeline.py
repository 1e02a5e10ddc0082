"""Detector and classifier put together: an image in, faces with emotions out. No I/O."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.classify import EmotionClassifier
from mien.classify.crop import crops_of, region_of_face, region_of_picture
from mien.classify.labels import LabelSet, narrow
from mien.detect import FaceDetector, FaceFollower
from mien.detect.scale import MIN_FACE_SIZE_PX
from mien.errors import InvalidParameterError
from mien.types import Box, Emotion, Face, FaceEmotion, ImageResult, RgbImage, Timings

__all__ = ["Options", "Pipeline"]

# A picture with this many pixels shows all of what is looked for by default: its smallest face, a
# twenty-sixth of a square's side, is no smaller than the classifier's crop.
ENOUGH_PIXELS = 1_800_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may ask for with one picture.

    max_faces: keep only the largest ones; min_face_size: pixels, None for the default;
    crop: the picture is one cropped face, so detection is skipped.
    Raises InvalidParameterError for a number that is too small.
    """

    labels: LabelSet = LabelSet.SIX
    max_faces: int | None = None
    min_face_size: int | None = None
    crop: bool = False

    def __post_init__(self) -> None:
        for name, least in (("min_face_size", MIN_FACE_SIZE_PX), ("max_faces", 1)):
            value = getattr(self, name)
            # Written so that NaN is refused too.
            if value is not None and not value >= least:
                raise InvalidParameterError(f"{name} must be at least {least}")


class Pipeline:
    """Built once, shared by all threads."""

    def __init__(
        self,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        *,
        min_face_size: int | None = None,
    ) -> None:
        self.detector = detector
        self.classifier = classifier
        self.min_face_size = min_face_size

    def enough_pixels(self, options: Options) -> int | None:
        """Return how many pixels are enough for an answer; None where every one is wanted."""
        given = options.min_face_size or self.min_face_size
        return None if given or options.crop else ENOUGH_PIXELS

    def analyze(
        self,
        image: RgbImage,
        options: Options | None = None,
        *,
        near: Sequence[Box] | None = None,
    ) -> ImageResult:
        """Return the faces of a picture, largest first, each with its emotion.

        near: where faces were a moment ago, None for a search of the whole picture; a detector that
        can't look there alone searches all of it.
        """
        options = options or Options()
        started = time.perf_counter()
        faces = self._faces(image, options, near)
        detected = time.perf_counter()
        probabilities = self._probabilities(image, faces, options)
        width, height = image.stored_size or (image.width, image.height)
        return ImageResult(
            width=width,
            height=height,
            faces=tuple(
                _emotion(_scaled(face, width / image.width, height / image.height), row, options)
                for face, row in zip(faces, probabilities, strict=True)
            ),
            seconds=Timings(
                detect=0.0 if options.crop else detected - started,
                classify=time.perf_counter() - detected,
            ),
        )

    def _faces(
        self, image: RgbImage, options: Options, near: Sequence[Box] | None
    ) -> tuple[Face, ...]:
        if options.crop:
            whole = Box(left=0.0, top=0.0, right=float(image.width), bottom=float(image.height))
            return (Face(box=whole, score=1.0),)
        if near is not None and isinstance(self.detector, FaceFollower):
            return self.detector.follow(image, near)
        smallest = options.min_face_size or self.min_face_size
        return self.detector.detect(image, min_face_size=smallest)[: options.max_faces]

    def _probabilities(
        self, image: RgbImage, faces: tuple[Face, ...], options: Options
    ) -> NDArray[np.float32]:
        """Return (N, L) probabilities of the wanted labels, all faces in one batch."""
        regions = (
            [region_of_picture(image.width, image.height)]
            if options.crop
            else [region_of_face(face) for face in faces]
        )
        crops = crops_of(image, regions, self.classifier.crop_size_px)
        return narrow(
            self.classifier.predict(crops), self.classifier.labels, options.labels.emotions
        )


def _scaled(face: Face, x: float, y: float) -> Face:
    """Return a face of a picture that was reduced on decoding where it is in the stored one."""
    landmarks = face.landmarks.scaled(x, y) if face.landmarks else None
    return replace(face, box=face.box.scaled(x, y), landmarks=landmarks)


def _emotion(face: Face, row: NDArray[np.float32], options: Options) -> FaceEmotion:
    scores: dict[Emotion, float] = dict(zip(options.labels.emotions, row.tolist(), strict=True))
    emotion = max(scores, key=scores.__getitem__)
    return FaceEmotion(
        box=face.box,
        emotion=emotion,
        confidence=scores[emotion],
        scores=scores,
        detection=None if options.crop else face.score,
        landmarks=face.landmarks,
    )
