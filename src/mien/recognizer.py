"""The core call: an image in any form -> the emotions of its faces."""

import difflib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from os import PathLike, fsdecode
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.classify import EmotionClassifier
from mien.classify.crop import square_of_face, square_of_image
from mien.classify.labels import LabelSet, check_labels, checked_probabilities, narrow
from mien.classify.registry import build_classifier
from mien.cores import available_cores
from mien.detect import FaceDetector
from mien.detect.detections import checked_faces
from mien.detect.registry import DEFAULT_DETECTOR, build_detector
from mien.errors import ImageTooLargeError, InvalidParameterError, MienError
from mien.image import BinaryReader, ImageInput, check_channels, detached, load_image
from mien.in_order import in_order
from mien.memory import keep_freed_memory
from mien.options import OptionKeywords, Options, Upright, whole_number
from mien.quality import measure_quality
from mien.results import Failure, ImageResult
from mien.runtime.providers import parse_providers
from mien.types import Box, Emotion, Face, FaceEmotion, Landmarks, RgbImage, Timings

__all__ = ["MAX_PIXELS", "Recognizer", "analyze", "failed"]

MAX_PIXELS = 50_000_000
# Images with four times as many pixels are reduced while they are decoded, which saves time.
# Detection then searches all that is left, so fewer pixels would also cost small faces.
_ENOUGH_PIXELS = 1_700_000
# ``max_faces`` keeps faces of at least this score first, the largest of them first.
_CONFIDENT = 0.9
# No image is as large; detectors compare sizes as 32-bit numbers.
_LARGEST_PX = 1_000_000_000
# Faces with at least this score count as upright; most rotated faces score lower. Measured by
# benchmarks/upright.py.
_SURELY_UPRIGHT = 0.991
# Types that are one image, although they can be iterated over.
_SINGLE = (
    *(str, bytes, bytearray, memoryview, PathLike, BinaryReader),
    *(Image.Image, RgbImage, np.ndarray),
)
# Clockwise; Pillow's constants turn the other way.
_TRANSPOSE = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


class Recognizer:
    """Finds faces and classifies their emotions. Build it once; threads may share it.

    It can be pickled: the copy loads its models again.
    """

    def __init__(
        self,
        *,
        detector: str | FaceDetector = DEFAULT_DETECTOR,
        detector_model: Path | str | None = None,
        model: Path | str | EmotionClassifier | None = None,
        providers: str = "cpu",
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        **options: Unpack[OptionKeywords],
    ) -> None:
        """Load and verify the models; let the process keep freed memory (``mien.memory``).

        Args:
            detector: A name of ``mien.detect.registry.DETECTORS`` or of a plug-in, or an object
                with a method ``detect``.
            detector_model: ONNX file to use instead of the detector's own, if ``detector`` is the
                name of a detector that takes one.
            model: ONNX file of an emotion model with its ``card.toml`` in the same folder, the name
                of a plug-in, or an object with the classifier's methods. None: the included model.
            providers: ONNX Runtime's execution providers, ``cpu``, ``cuda`` or ``openvino``;
                several separated by commas, the preferred one first.
            max_pixels: Images with more pixels are refused before decoding. Default: 50 million.
            threads: Images that ``analyze_many`` analyzes at once. None: the number of cores.
            **options: Options of every call, as the fields of ``Options``.

        Raises:
            InvalidParameterError: An option or a name is unknown or out of range, a plug-in cannot
                be loaded, or the model knows none of the labels.
            ArtifactError: A model file is missing or altered, or does not match its card.
        """
        arguments: dict[str, Any] = {
            "detector": detector,
            "detector_model": detector_model,
            "model": model,
            "providers": providers,
            "max_pixels": max_pixels,
            "threads": threads,
        }
        self._arguments = {**arguments, **options}
        self.options = _options(Options(), options, others=arguments)
        self.max_pixels = whole_number("max_pixels", max_pixels)
        self.threads = available_cores() if threads is None else whole_number("threads", threads)
        chosen = parse_providers(providers)
        if not isinstance(detector_model, str | PathLike | None):
            raise InvalidParameterError(f"detector_model must be a path, not {detector_model!r}")
        if isinstance(detector, str):
            file = None if detector_model is None else Path(detector_model)
            detector = build_detector(detector, file, providers=chosen)
        elif detector_model is not None:
            raise InvalidParameterError("detector_model needs the name of a detector")
        if isinstance(detector, type) or not hasattr(detector, "detect"):
            raise InvalidParameterError(
                f"detector must be a name or an object with a method detect, not {detector!r}"
            )
        self.detector = detector
        if model is None or isinstance(model, str | Path):
            model = build_classifier(model, providers=chosen)
        members = ("predict", "labels", "crop")
        if isinstance(model, type) or not all(hasattr(model, member) for member in members):
            raise InvalidParameterError(
                "model must be a path, a name or an object with a method predict and attributes "
                f"labels and crop, not {model!r}"
            )
        check_labels(model.labels, self.options.labels.emotions)
        self.classifier: EmotionClassifier = model
        keep_freed_memory()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Recognizer, **self._arguments), ()

    def analyze(
        self,
        image: ImageInput,
        options: Options | None = None,
        *,
        channels: str = "rgb",
        **overrides: Unpack[OptionKeywords],
    ) -> ImageResult:
        """Return the faces of one image, largest first, each with its emotion.

        Args:
            image: A path, the bytes of an image file, a file object, a PIL image, or an array as
                ``mien.image.load_image`` takes it.
            options: Used instead of the options of this recognizer. If their ``min_face_size`` is
                None, that of this recognizer applies. None: the options of this recognizer.
            channels: The order of an array's color channels: ``rgb``, or ``bgr`` as in OpenCV.
            **overrides: Options of this call only, as the fields of ``Options``;
                ``min_face_size=None`` uses that of this recognizer.

        Raises:
            ImageError: The image cannot be read.
            InvalidParameterError: An option is unknown or out of range, the array is not an image,
                ``channels`` does not fit it, or ``options`` has another type.
            ModelContractError: The detector did not return faces, or the model did not return
                probabilities.
        """
        options = self._combined(options, overrides)
        started = perf_counter()
        loaded = load_image(
            image,
            max_pixels=self.max_pixels,
            enough_pixels=self._enough_pixels(options),
            channels=channels,
        )
        decoded = perf_counter()
        turn, upright, faces = self._detect(loaded, options)
        detected = perf_counter()
        probabilities = self._classify(upright, faces, options)
        width, height = loaded.stored_size or (loaded.width, loaded.height)
        scale = (width / loaded.width, height / loaded.height)
        return ImageResult(
            path=_path(image),
            width=width,
            height=height,
            turn=turn,
            faces=tuple(
                _face_emotion(_turned_back(face, turn, loaded), row, loaded, scale, options)
                for face, row in zip(faces, probabilities, strict=True)
            ),
            seconds=Timings(
                decode=decoded - started,
                detect=0.0 if options.crop else detected - decoded,
                classify=perf_counter() - detected,
            ),
            labels=options.labels,
        )

    def analyze_many(
        self,
        images: Iterable[ImageInput],
        options: Options | None = None,
        *,
        channels: str = "rgb",
        **overrides: Unpack[OptionKeywords],
    ) -> list[ImageResult]:
        """Return one result per image, in order; an image that fails is a result with ``error``.

        Analyzes ``threads`` images at once.

        Args:
            images: Each as ``analyze`` takes it.
            options: None: the options of this recognizer.
            channels: The order of the images' color channels. With ``bgr``, all must be arrays.
            **overrides: As for ``analyze``.

        Raises:
            InvalidParameterError: ``images`` is a single image, or an option is unknown.
        """
        return list(self.iter_analyze(images, options, channels=channels, **overrides))

    def iter_analyze(
        self,
        images: Iterable[ImageInput],
        options: Options | None = None,
        *,
        channels: str = "rgb",
        **overrides: Unpack[OptionKeywords],
    ) -> Iterator[ImageResult]:
        """Yield the results of ``analyze_many``, each as soon as it and those before it are ready.

        Reads only a few images ahead, so ``images`` may be an endless generator.

        Args:
            images: Each as ``analyze`` takes it.
            options: None: the options of this recognizer.
            channels: As for ``analyze_many``.
            **overrides: As for ``analyze``.

        Raises:
            InvalidParameterError: ``images`` is a single image, or an option is unknown.
        """
        if isinstance(images, _SINGLE):
            raise InvalidParameterError(
                f"expected several images, got one {type(images).__name__}: put it into a list"
            )
        if not isinstance(images, Iterable):
            raise InvalidParameterError(
                f"expected several images, such as a list, got {type(images).__name__}"
            )
        options = self._combined(options, overrides)
        check_channels(channels)
        attempt = functools.partial(self._attempt, options=options, channels=channels)
        own = functools.partial(detached, max_pixels=self.max_pixels)
        return in_order(attempt, map(own, images), threads=self.threads)

    def _combined(self, options: Options | None, overrides: OptionKeywords) -> Options:
        if not isinstance(options, Options | None):
            raise InvalidParameterError(
                f"options must be mien.Options(...), not {type(options).__name__}"
            )
        chosen = self.options if options is None else options
        return _options(chosen, overrides) if overrides else chosen

    def _attempt(self, image: ImageInput, *, options: Options, channels: str) -> ImageResult:
        try:
            return self.analyze(image, options, channels=channels)
        except (MienError, MemoryError) as error:
            return failed(_path(image), error, options.labels)

    def _enough_pixels(self, options: Options) -> int | None:
        """Return how many pixels are enough; None if all of them are needed."""
        return None if self._min_face_size(options) or options.crop else _ENOUGH_PIXELS

    def _min_face_size(self, options: Options) -> int | None:
        least = options.min_face_size or self.options.min_face_size
        return least and min(least, _LARGEST_PX)

    def _detect(self, image: RgbImage, options: Options) -> tuple[int, RgbImage, tuple[Face, ...]]:
        """Return the turn in degrees clockwise, the turned image and the faces in it."""
        if options.crop:
            whole = Box(left=0.0, top=0.0, right=float(image.width), bottom=float(image.height))
            return 0, image, (Face(box=whole, score=1.0),)
        turn, upright, faces = 0, image, self._faces(image, options)
        if options.upright is Upright.AUTO and _best_score(faces) < _SURELY_UPRIGHT:
            for other, transpose in _TRANSPOSE.items():
                turned = _turned(image, transpose)
                found = self._faces(turned, options)
                if _best_score(found) > _best_score(faces):
                    turn, upright, faces = other, turned, found
        return turn, upright, _largest(faces, options.max_faces)

    def _faces(self, image: RgbImage, options: Options) -> tuple[Face, ...]:
        found = self.detector.detect(
            image, min_face_size=self._min_face_size(options), min_score=options.min_score
        )
        name = type(self.detector).__name__
        return checked_faces(found, image, detector=name, min_score=options.min_score)

    def _classify(
        self, image: RgbImage, faces: tuple[Face, ...], options: Options
    ) -> NDArray[np.float32]:
        """Return (N, L) probabilities of the chosen labels."""
        squares = (
            [square_of_image(image.width, image.height)]
            if options.crop
            else [square_of_face(face, self.classifier.crop.template) for face in faces]
        )
        crops = self.classifier.crop.crops(image, squares)
        labels = self.classifier.labels
        probabilities = checked_probabilities(
            self.classifier.predict(crops),
            faces=len(crops),
            labels=labels,
            classifier=type(self.classifier).__name__,
        )
        return narrow(probabilities, labels, options.labels.emotions)


def analyze(
    image: ImageInput, *, channels: str = "rgb", **options: Unpack[OptionKeywords]
) -> ImageResult:
    """Return the faces of one image, largest first, each with its emotion.

    The models are loaded at the first call.

    Args:
        image: A path, the bytes of an image file, a file object, a PIL image, or an array.
        channels: The order of an array's color channels: ``rgb``, or ``bgr`` as in OpenCV.
        **options: Options by the names of the fields of ``Options``.

    Raises:
        ImageError: The image cannot be read.
        InvalidParameterError: An option is unknown or out of range.
        ArtifactError: A model file is missing or was altered.
    """
    return _shared().analyze(image, channels=channels, **options)


def failed(
    path: str | None, error: MienError | MemoryError, labels: LabelSet = LabelSet.SIX
) -> ImageResult:
    """Return the result of an image that failed."""
    if isinstance(error, MemoryError):
        error = ImageTooLargeError("there is not enough memory to analyze this image")
    return ImageResult(path=path, error=Failure(error.code, error.message), labels=labels)


@functools.cache
def _shared() -> Recognizer:
    return Recognizer()


def _options(options: Options, overrides: OptionKeywords, *, others: Iterable[str] = ()) -> Options:
    """Return the options with changes. ``others``: further names, to suggest for unknown ones."""
    known = [*others, *OptionKeywords.__annotations__]
    for name in overrides:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {close[0]}?" if close else f"the options are {', '.join(known)}"
            raise InvalidParameterError(f"there is no option {name}; {hint}")
    return replace(options, **overrides)  # type: ignore[arg-type]


def _path(image: object) -> str | None:
    return fsdecode(image) if isinstance(image, str | PathLike) else None


def _best_score(faces: tuple[Face, ...]) -> float:
    return max((face.score for face in faces), default=0.0)


def _largest(faces: tuple[Face, ...], max_faces: int | None) -> tuple[Face, ...]:
    """Return at most ``max_faces`` faces, largest first; confident ones are preferred."""
    if max_faces is None or len(faces) <= max_faces:
        return faces
    preferred = sorted(range(len(faces)), key=lambda at: (faces[at].score < _CONFIDENT, at))
    return tuple(faces[at] for at in sorted(preferred[:max_faces]))


def _turned(image: RgbImage, transpose: Image.Transpose) -> RgbImage:
    size = image.stored_size
    if size is not None and transpose is not Image.Transpose.ROTATE_180:
        size = size[::-1]
    return RgbImage(image.picture.transpose(transpose), size)


def _turned_back(face: Face, turn: int, image: RgbImage) -> Face:
    """Return a face of the turned image in the coordinates of the image before the turn."""
    if turn == 0:
        return face

    def back(x: float, y: float) -> tuple[float, float]:
        return {
            90: (y, image.height - x),
            180: (image.width - x, image.height - y),
            270: (image.width - y, x),
        }[turn]

    (x0, y0), (x1, y1) = back(face.box.left, face.box.top), back(face.box.right, face.box.bottom)
    box = Box(left=min(x0, x1), top=min(y0, y1), right=max(x0, x1), bottom=max(y0, y1))
    points = face.landmarks and Landmarks(
        *(back(x, y) for x, y in face.landmarks.to_array().tolist())
    )
    return replace(face, box=box, landmarks=points)


def _scaled(face: Face, x: float, y: float) -> Face:
    """Return a face with its coordinates multiplied by ``x`` and ``y``."""
    landmarks = face.landmarks.scaled(x, y) if face.landmarks else None
    return replace(face, box=face.box.scaled(x, y), landmarks=landmarks)


def _face_emotion(
    found: Face,
    row: NDArray[np.float32],
    image: RgbImage,
    scale: tuple[float, float],
    options: Options,
) -> FaceEmotion:
    """Return a face of the decoded image as one of the stored image, which ``scale`` leads to."""
    face = _scaled(found, *scale)
    scores: dict[Emotion, float] = dict(zip(options.labels.emotions, row.tolist(), strict=True))
    emotion = max(scores, key=scores.__getitem__)
    return FaceEmotion(
        box=face.box,
        emotion=emotion,
        confidence=scores[emotion],
        scores=scores,
        detection=None if options.crop else face.score,
        landmarks=face.landmarks,
        quality=measure_quality(image, found, scale[1]) if options.quality else None,
    )
