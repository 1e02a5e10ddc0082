"""The baseline's example photos, with labels given by eye."""

from pathlib import Path

import pytest

import mien
from mien import Emotion

SURPRISED = {Emotion.SURPRISE, Emotion.FEAR}


@pytest.mark.parametrize("min_face_size", [None, 20])
def test_photos_have_the_expected_faces_and_emotions(
    shared: Path, min_face_size: int | None
) -> None:
    def emotions(name: str) -> list[Emotion]:
        photo = shared / "photos" / "reference" / name
        return [face.emotion for face in mien.analyze(photo, min_face_size=min_face_size).faces]

    assert emotions("3.jpg") == []
    assert emotions("4.jpg")[0] in SURPRISED
    assert emotions("6.jpg")[0] in SURPRISED
    assert emotions("7.jpg") in ([Emotion.ANGRY], [Emotion.NEUTRAL])
    laughing = emotions("10.jpg")
    assert len(laughing) >= 10
    assert laughing.count(Emotion.HAPPY) >= 9
