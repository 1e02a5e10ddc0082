from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mien.classify.crop import FER2013_TEMPLATE
from mien.errors import InvalidParameterError
from mien.options import Options
from mien.quality import DEPTHS, head_pose, measure_quality
from mien.recognizer import Recognizer
from mien.types import Box, Face, Landmarks, Quality, RgbImage
from samples import StubClassifier, StubDetector

FRONTAL = Landmarks(*FER2013_TEMPLATE.points)


@pytest.fixture(scope="module")
def real() -> Recognizer:
    return Recognizer(max_faces=1, quality=True)


def measured(real: Recognizer, picture: Image.Image) -> Quality:
    (face,) = real.analyze(picture)
    assert face.quality is not None
    return face.quality


def falls(values: Sequence[float]) -> bool:
    return all(after < before for before, after in pairwise(values))


def seen(yaw: float, pitch: float, roll: float) -> Landmarks:
    """Return the landmarks of an average face, turned by degrees and seen from far away."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    head = np.column_stack([np.array(FER2013_TEMPLATE.points), DEPTHS])
    points = head @ (np.array(about_z) @ about_y @ about_x).T
    return Landmarks(*((80 * x + 30, 80 * y + 20) for x, y, _ in points.tolist()))


def test_quality_is_measured_only_on_request() -> None:
    image = RgbImage(np.zeros((90, 160, 3), dtype=np.uint8))
    result = Recognizer(detector=StubDetector(), model=StubClassifier()).analyze(image)
    assert [face.quality for face in result] == [None, None]
    for form in (result.to_dict, result.to_json, result.face_records):
        with pytest.raises(InvalidParameterError, match="quality=True"):
            form(["quality"])
    with pytest.raises(InvalidParameterError, match="quality=True"):
        result.to_rows(include=["quality"])


@pytest.mark.parametrize(
    "pose", [(0, 0, 0), (30, 0, 0), (-60, 0, 0), (0, 20, 0), (0, -35, 0), (0, 0, 20), (0, 0, -170)]
)
def test_the_pose_of_an_average_head_is_exact(pose: tuple[float, float, float]) -> None:
    assert head_pose(seen(*pose)) == pytest.approx(pose, abs=1e-6)
    assert head_pose(seen(25, -15, 40)) == pytest.approx((25, -15, 40), abs=1e-6)


def test_identical_landmarks_have_angles_in_range() -> None:
    yaw, pitch, roll = head_pose(Landmarks(*[(5.0, 5.0)] * 5))
    assert abs(yaw) <= 90
    assert abs(pitch) <= 90
    assert abs(roll) <= 180


def test_a_flat_image_has_no_sharpness_and_no_contrast() -> None:
    box = Box(left=-5, top=0, right=40, bottom=30)
    flat = RgbImage(np.full((30, 40, 3), 51, dtype=np.uint8))
    found = measure_quality(flat, Face(box=box, score=1.0), 2.0)
    assert astuple(found) == (60, 0.0, pytest.approx(0.2), 0.0, None, None, None)
    stripes = np.zeros((40, 40, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    face = Face(box=replace(box, left=0), score=1.0, landmarks=FRONTAL)
    found = measure_quality(RgbImage(stripes), face)
    assert found.sharpness > 1000
    assert found.contrast <= 0.5


def test_blur_lowers_sharpness(real: Recognizer, astronaut: np.ndarray) -> None:
    photo = Image.fromarray(astronaut)
    blurred = [photo.filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 1, 2, 4)]
    assert falls([measured(real, each).sharpness for each in blurred])


def test_darkening_lowers_brightness_and_contrast(real: Recognizer, astronaut: np.ndarray) -> None:
    photo = ImageEnhance.Brightness(Image.fromarray(astronaut))
    darker = [measured(real, photo.enhance(share)) for share in (1, 0.7, 0.4)]
    assert falls([each.brightness for each in darker])
    assert falls([each.contrast for each in darker])


def test_a_mirrored_face_has_the_opposite_yaw(real: Recognizer, astronaut: np.ndarray) -> None:
    photo = Image.fromarray(astronaut)
    one, other = measured(real, photo), measured(real, ImageOps.mirror(photo))
    assert abs(one.yaw) > 3
    assert one.yaw == pytest.approx(-other.yaw, abs=8)
    assert one.roll == pytest.approx(-other.roll, abs=5)
    assert one.pitch == pytest.approx(other.pitch, abs=5)


@pytest.mark.parametrize("clockwise", [-20, 20])
def test_the_roll_follows_the_image(astronaut: np.ndarray, clockwise: int) -> None:
    photo = Image.fromarray(astronaut)
    turned = photo.rotate(-clockwise, Image.Resampling.BICUBIC, expand=True)
    rolls = {}
    for detector in ("yunet", "mtcnn"):
        recognizer = Recognizer(detector=detector, max_faces=1, quality=True)
        rolls[detector] = measured(recognizer, turned).roll - measured(recognizer, photo).roll
    assert rolls["mtcnn"] == pytest.approx(clockwise, abs=5)
    # Landmarks of the default detector turn less than a small face does.
    assert 3 < rolls["yunet"] * np.sign(clockwise) < 25


def test_quality_refers_to_the_stored_image(real: Recognizer, astronaut: np.ndarray) -> None:
    photo = Image.fromarray(astronaut)
    large = measured(real, photo.resize((4096, 4096)))
    assert large.height == pytest.approx(8 * measured(real, photo).height, rel=0.1)


def test_the_roll_of_a_turned_image_refers_to_the_stored_image() -> None:
    image = RgbImage(np.zeros((120, 90, 3), dtype=np.uint8))  # its faces are found at 100 pixels
    recognizer = Recognizer(detector=StubDetector(), model=StubClassifier(), upright="auto")
    result = recognizer.analyze(image, Options(upright="auto", quality=True))
    assert result.turn == 90
    assert abs(result.faces[0].quality.roll) == pytest.approx(90)


def test_real_photos_are_measured_sensibly(real: Recognizer, shared: Path) -> None:
    checked = 0
    for path in sorted((shared / "photos" / "closeups_dev").glob("*.jpg"))[:12]:
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((700, 700))
        result = real.analyze(photo)
        if not result.faces or abs(result.faces[0].quality.yaw) < 5:
            continue
        before = result.faces[0].quality
        blurred = photo.filter(ImageFilter.GaussianBlur(before.height * 0.02))
        assert measured(real, blurred).sharpness < before.sharpness
        dark = ImageEnhance.Brightness(photo).enhance(0.6)
        assert measured(real, dark).brightness < before.brightness
        assert measured(real, ImageOps.mirror(photo)).yaw * before.yaw < 0
        checked += 1
    assert checked
