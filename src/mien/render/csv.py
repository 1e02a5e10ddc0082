"""Results as rows of a table: one per face, and one for a photo without a face or with an error."""

from mien.render.json import Include, face_record
from mien.types import Emotion, ImageResult

__all__ = ["Cell", "csv_header", "csv_rows"]

Cell = str | int | float | None

_PHOTO = ("path", "width", "height")
_FACE = ("face", "x", "y", "box_width", "box_height", "emotion", "confidence")
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_ERROR = ("error_code", "error_message")


def csv_header(
    emotions: tuple[Emotion, ...], include: frozenset[Include] = frozenset()
) -> tuple[str, ...]:
    """Return the column names; emotions: the labels of the chosen set."""
    return (*_PHOTO, *_FACE, *_extra_columns(emotions, include), *_ERROR)


def csv_rows(
    path: str,
    result: ImageResult,
    emotions: tuple[Emotion, ...],
    include: frozenset[Include] = frozenset(),
) -> list[tuple[Cell, ...]]:
    """Return at least one row, so that no photo is lost; None stands for an empty cell.

    ``face`` counts from 0, largest first: the place in the JSON list. Values are those of the JSON.
    """
    blank = (None,) * (len(_FACE) + len(_extra_columns(emotions, include)))
    if result.error is not None:
        return [(path, None, None, *blank, result.error.code, result.error.message)]
    photo = (path, result.width, result.height)
    rows: list[tuple[Cell, ...]] = []
    for index, face in enumerate(result.faces):
        record = face_record(face, result.width, result.height, include)
        scores, points = record.get("scores"), record.get("landmarks")
        cells: list[Cell] = [*record["bounding_box"], record["emotion"], record["confidence"]]
        if scores is not None:
            cells += [scores[emotion.value] for emotion in emotions]
        if Include.LANDMARKS in include:
            cells += [c for point in points for c in point] if points else [None] * 10
        if Include.DETECTION in include:
            cells.append(record["detection"])
        rows.append((*photo, index, *cells, None, None))
    return rows or [(*photo, *blank, None, None)]


def _extra_columns(emotions: tuple[Emotion, ...], include: frozenset[Include]) -> list[str]:
    columns: list[str] = []
    if Include.SCORES in include:
        columns += [f"score_{emotion.value}" for emotion in emotions]
    if Include.LANDMARKS in include:
        columns += [f"{point}_{axis}" for point in _POINTS for axis in "xy"]
    if Include.DETECTION in include:
        columns.append("detection")
    return columns
