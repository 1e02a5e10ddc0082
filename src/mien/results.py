"""The result of one image, and its forms: JSON, rows of a table, an annotated image."""

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from html import escape
from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from mien.classify.labels import LabelSet
from mien.errors import ImageTooLargeError, InvalidParameterError, MienError
from mien.image import ImageInput, load_image
from mien.options import Include, included, label_set
from mien.types import Emotion, FaceEmotion, Landmarks, Quality, Timings

__all__ = [
    "COLUMN_TYPES",
    "VIDEO_COLUMNS",
    "Cell",
    "Failure",
    "ImageResult",
    "face_record",
    "rows_of_object",
    "table_columns",
]

Cell = str | int | float | None

# Four decimals: finer than any calibration can promise, and stable between runs.
_DECIMALS = 4
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_SCORES = (Include.SCORES,)

# Columns of tables, with the type of their cells.
_Columns = dict[str, type[str | int | float]]
_IMAGE: _Columns = {"path": str, "width": int, "height": int, "turn": int}
_BOX: _Columns = {"x": int, "y": int, "box_width": int, "box_height": int}
_FACE: _Columns = {"face": int, **_BOX, "emotion": str, "confidence": float}
_SCORE: _Columns = {f"score_{emotion}": float for emotion in Emotion}
_LANDMARKS: _Columns = {f"{point}_{axis}": float for point in _POINTS for axis in "xy"}
_DETECTION: _Columns = {"detection": float}
_QUALITY: _Columns = {
    f"quality_{entry.name}": int if entry.type is int else float for entry in fields(Quality)
}
_ERROR: _Columns = {"error_code": str, "error_message": str}
# First columns of tables of mien video.
VIDEO_COLUMNS: _Columns = {"time_s": float, "frame": int, "person": int}
COLUMN_TYPES = _IMAGE | _FACE | _SCORE | _LANDMARKS | _DETECTION | _QUALITY | _ERROR | VIDEO_COLUMNS
_NOTEBOOK_SIZE_WH = (800, 800)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image could not be analyzed.

    Attributes:
        code: Stable, such as ``not_an_image``.
        message: For people; it may change.
    """

    code: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The faces of one image, largest first, or the error with which it failed.

    Attributes:
        path: The file; None if the image was not read from one.
        width: Width of the upright image in pixels; 0 if it could not be decoded.
        height: Height of the upright image in pixels; 0 if it could not be decoded.
        turn: Clockwise rotation in degrees (0, 90, 180 or 270) that makes the faces upright; only
            with ``upright="auto"``. Boxes and landmarks are in pixels of the unrotated image.
        faces: Largest first; empty if there is no face.
        seconds: Time of each stage.
        error: Why the image failed; None if it was analyzed.
        labels: The label set of the scores.
    """

    path: str | None = None
    width: int = 0
    height: int = 0
    turn: int = 0
    faces: tuple[FaceEmotion, ...] = ()
    seconds: Timings = field(default_factory=Timings)
    error: Failure | None = None
    labels: LabelSet = LabelSet.SIX

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[FaceEmotion]:
        return iter(self.faces)

    def __getitem__(self, index: int) -> FaceEmotion:
        return self.faces[index]

    def face_records(self, include: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return the JSON of ``POST /emotion``: a record for each face.

        Args:
            include: Optional keys: ``scores``, ``landmarks``, ``detection``, and ``quality`` if the
                image was analyzed with ``quality=True``.

        Raises:
            InvalidParameterError: ``include`` names anything else, or the quality of a face, which
                was not measured.
        """
        keys = included(include)
        return [
            face_record(face, self.width, self.height, keys, turn=self.turn) for face in self.faces
        ]

    def to_dict(self, include: Collection[str] = ()) -> dict[str, Any]:
        """Return ``path``, ``size``, ``faces`` and ``seconds``, or ``path`` and ``error``.

        ``turn`` is included if it is not 0. These are the lines of ``mien analyze --jsonl``.

        Args:
            include: Optional keys of each face, see ``face_records``.

        Raises:
            InvalidParameterError: As ``face_records`` raises it.
        """
        keys = included(include)
        if self.error is not None:
            return {"path": self.path, "error": asdict(self.error)}
        return {
            "path": self.path,
            "size": [self.width, self.height],
            **({"turn": self.turn} if self.turn else {}),
            "faces": self.face_records(keys),
            "seconds": {stage: round(s, _DECIMALS) for stage, s in asdict(self.seconds).items()},
        }

    def to_json(self, include: Collection[str] = (), *, indent: int | None = None) -> str:
        """Return ``to_dict`` as JSON in ASCII."""
        return json.dumps(self.to_dict(include), indent=indent)

    def to_rows(
        self, labels: LabelSet | str | None = None, include: Collection[str] = _SCORES
    ) -> list[dict[str, Cell]]:
        """Return a row for each face, or one for an image without a face or with an error.

        Columns are ``table_columns(labels, include)`` in every row; None is an empty cell. ``face``
        counts from 0, largest first.

        Args:
            labels: The label set of the score columns. None: that of this result.
            include: Optional columns.

        Raises:
            InvalidParameterError: As ``face_records`` raises it, or ``labels`` has fewer emotions
                than the scores.
        """
        labels, keys = label_set(self.labels if labels is None else labels), included(include)
        if self.faces and len(labels.emotions) < len(self.labels.emotions):
            raise InvalidParameterError(
                f"the image was analyzed with labels={self.labels.value}, which do not fit into "
                f"columns for {labels.value}"
            )
        empty: dict[str, Cell] = dict.fromkeys(table_columns(labels, keys))
        return [empty | row for row in rows_of_object(self.to_dict(keys))]

    def annotate(self, image: ImageInput | None = None) -> Image.Image:
        """Return an RGB copy of the image with a box, the emotion and its confidence per face.

        Args:
            image: The analyzed image: a path, bytes, PIL image or array. None: read ``path`` again.

        Raises:
            ImageError: The image cannot be read.
            InvalidParameterError: The image has another size than the analyzed one, there is no
                path, or the analysis failed.
        """
        if self.error is not None:
            raise InvalidParameterError("the analysis of this image failed: nothing to annotate")
        given = self.path if image is None else image
        if given is None:
            raise InvalidParameterError("this result has no path: give the image to annotate")
        analyzed = f"the analyzed image had {self.width} x {self.height} pixels"
        try:
            loaded = load_image(given, max_pixels=self.width * self.height)
        except ImageTooLargeError as error:
            raise InvalidParameterError(f"{analyzed}, this one has more") from error
        if (loaded.width, loaded.height) != (self.width, self.height):
            raise InvalidParameterError(
                f"{analyzed}, this one has {loaded.width} x {loaded.height}"
            )
        # Fonts take 3 MB, which only programs that draw need.
        from mien.render.annotate import annotate  # noqa: PLC0415

        return annotate(loaded, self.faces)

    def to_supervision(self) -> Any:
        """Return the faces as ``supervision.Detections``, for its annotators, trackers and filters.

        ``class_id`` is the index of the emotion in ``mien.Emotion``, ``data["class_name"]`` its
        name, and ``confidence`` that of the emotion. A failed image has no detections.

        Raises:
            InvalidParameterError: The package ``supervision`` is not installed.
        """
        try:
            supervision = import_module("supervision")
        except ImportError as error:
            raise InvalidParameterError("to_supervision needs: pip install supervision") from error
        order = list(Emotion)
        boxes = np.array([face.box.xyxy for face in self.faces], np.float32)
        return supervision.Detections(
            xyxy=boxes.reshape(-1, 4),
            confidence=np.array([face.confidence for face in self.faces], np.float32),
            class_id=np.array([order.index(face.emotion) for face in self.faces], int),
            data={"class_name": np.array([face.emotion.value for face in self.faces], str)},
        )

    def _repr_html_(self) -> str:
        """Return the annotated image, where it can be read again, above a table of the faces."""
        rows = self.to_rows(include=())
        columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
        cells = [columns, *([str(row[name]) for name in columns] for row in rows)]
        lines = ("".join(f"<td>{escape(cell)}</td>" for cell in line) for line in cells)
        table = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"{self._image_html()}<table>{table}</table>"

    def _image_html(self) -> str:
        try:
            image = self.annotate()
        except MienError:
            return ""
        image.thumbnail(_NOTEBOOK_SIZE_WH)
        file = BytesIO()
        image.save(file, "JPEG")
        data = base64.b64encode(file.getvalue()).decode()
        return f'<img alt="{len(self)} faces" src="data:image/jpeg;base64,{data}">'


def face_record(
    face: FaceEmotion, width: int, height: int, include: Collection[str] = (), *, turn: int = 0
) -> dict[str, Any]:
    """Return ``bounding_box``, ``emotion``, ``confidence`` and the optional keys of ``include``.

    ``turn`` is included if it is not 0.

    Args:
        face: The face.
        width: Width of the image in pixels; the rounded box stays inside.
        height: Height of the image in pixels.
        include: Optional keys.
        turn: Of the image, see ``ImageResult``.

    Raises:
        InvalidParameterError: ``include`` names anything else, or a quality that was not measured.
    """
    keys = included(include)
    record: dict[str, Any] = {
        "bounding_box": list(face.box.to_pixels(width, height)),
        "emotion": face.emotion.value,
        "confidence": round(face.confidence, _DECIMALS),
    }
    if turn:
        record["turn"] = turn
    if Include.SCORES in keys:
        record["scores"] = {e.value: round(p, _DECIMALS) for e, p in face.scores.items()}
    if Include.LANDMARKS in keys:
        record["landmarks"] = _points(face.landmarks)
    if Include.DETECTION in keys:
        record["detection"] = None if face.detection is None else round(face.detection, _DECIMALS)
    if Include.QUALITY in keys:
        record["quality"] = _measures(face)
    return record


def table_columns(
    labels: LabelSet | str = LabelSet.SIX, include: Collection[str] = _SCORES
) -> tuple[str, ...]:
    """Return the columns of a table of faces.

    Args:
        labels: The label set of the score columns.
        include: Optional columns.
    """
    keys = included(include)
    columns = [*_IMAGE, *_FACE]
    if Include.SCORES in keys:
        columns += [f"score_{emotion}" for emotion in label_set(labels).emotions]
    if Include.LANDMARKS in keys:
        columns += _LANDMARKS
    if Include.DETECTION in keys:
        columns += _DETECTION
    if Include.QUALITY in keys:
        columns += _QUALITY
    return (*columns, *_ERROR)


def rows_of_object(record: Mapping[str, Any]) -> list[dict[str, Cell]]:
    """Return the rows for an object of ``ImageResult.to_dict``, without their empty cells.

    Raises:
        KeyError, TypeError or ValueError: It is another object.
    """
    image: dict[str, Cell] = {"path": record["path"]}
    if error := record.get("error"):
        return [image | {"error_code": error["code"], "error_message": error["message"]}]
    width, height = record["size"]
    image |= {"width": width, "height": height, "turn": record.get("turn", 0)}
    faces = enumerate(record["faces"])
    return [image | {"face": index} | _cells(face) for index, face in faces] or [image]


def _cells(record: Mapping[str, Any]) -> dict[str, Cell]:
    """Return a face record as cells of a row."""
    record = dict(record)
    cells: dict[str, Cell] = dict(zip(_BOX, record.pop("bounding_box"), strict=True))
    for emotion, score in record.pop("scores", {}).items():
        cells[f"score_{emotion}"] = score
    for name, point in zip(_POINTS, record.pop("landmarks", None) or (), strict=False):
        cells |= {f"{name}_x": point[0], f"{name}_y": point[1]}
    for name, measure in record.pop("quality", {}).items():
        cells[f"quality_{name}"] = measure
    return cells | record


def _points(landmarks: Landmarks | None) -> list[list[float]] | None:
    if landmarks is None:
        return None
    return [[round(float(x), 2), round(float(y), 2)] for x, y in landmarks.to_array()]


def _measures(face: FaceEmotion) -> dict[str, int | float | None]:
    if face.quality is None:
        raise InvalidParameterError(
            "include has 'quality', which was not measured: analyze with quality=True"
        )
    places = {"sharpness": 1, "yaw": 1, "pitch": 1, "roll": 1}
    return {
        name: None if value is None else round(value, places.get(name, _DECIMALS))
        for name, value in asdict(face.quality).items()
    }
