"""Whole photos: the same faces as facenet-pytorch 2.6.0, in the same places."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from mien.detect.mtcnn import MtcnnDetector
from mien.geometry import intersection_over_union
from mien.types import RgbImage

MIN_SCORE = 0.9
MIN_OVERLAP = 0.95
MAX_SCORE_GAP = 0.01
MAX_LANDMARK_GAP = 0.02
MIN_FOUND = 0.99
MAX_EXTRA = 0.01


def agreement(photo: Path, record: dict[str, Any], min_face_size: int) -> tuple[int, int, int]:
    """Return how many faces the reference has, how many of them agree, and how many are extra."""
    pixels = np.array(ImageOps.exif_transpose(Image.open(photo)).convert("RGB"))
    assert list(pixels.shape[1::-1]) == record["size_wh"]
    found = MtcnnDetector().detections(
        RgbImage(pixels), min_face_size=min_face_size, min_score=MIN_SCORE
    )
    found_boxes = found[:, 1:5]
    expected = [face for face in record["faces"] if face["score"] >= MIN_SCORE]
    boxes = np.array([face["box_xywh"] for face in expected]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    limit = np.tile(record["size_wh"], 2)
    overlaps = intersection_over_union(np.clip(boxes, 0, limit), np.clip(found_boxes, 0, limit))
    agreed = 0
    for face, box, row in zip(expected, boxes, overlaps, strict=True):
        best = int(row.argmax()) if row.size else 0
        if not row.size or row[best] < MIN_OVERLAP:
            continue
        side = max(box[2:] - box[:2])
        gap = np.abs(found[best, 5:].reshape(5, 2) - face["landmarks_xy"]).max() / side
        agreed += abs(found[best, 0] - face["score"]) <= MAX_SCORE_GAP and gap <= MAX_LANDMARK_GAP
    unmatched = (overlaps < MIN_OVERLAP).all(axis=0).sum() if len(boxes) else len(found)
    return len(boxes), int(agreed), int(unmatched)


@pytest.mark.parametrize("min_face_size", [20, 40])
def test_photos_match_the_baseline(shared: Path, min_face_size: int) -> None:
    golden = shared / "golden" / "mtcnn" / f"min_face_{min_face_size}.jsonl"
    records = [json.loads(line) for line in golden.read_text().splitlines()]
    counts = [agreement(shared / "photos" / r["photo"], r, min_face_size) for r in records]
    faces, agreed, extra = np.sum(counts, axis=0)
    assert faces > 200
    assert agreed >= MIN_FOUND * faces, f"{agreed} of {faces} faces agree"
    assert extra <= MAX_EXTRA * faces, f"{extra} faces more than the reference's {faces}"
