from collections.abc import Sequence

import numpy as np
import pytest

from mien.render.annotate import annotate
from mien.render.layout import LabelLayout, Rect
from mien.types import Emotion, FaceEmotion, RgbImage
from samples import make_face

PLAIN = (90, 20, 60)


def photo(width: int, height: int) -> RgbImage:
    return RgbImage(np.full((height, width, 3), PLAIN, dtype=np.uint8))


def drawn(image: RgbImage, *faces: FaceEmotion) -> np.ndarray:
    picture = annotate(image, faces)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def test_without_faces_it_is_a_copy() -> None:
    image = photo(40, 30)
    picture = annotate(image, ())
    assert np.array_equal(np.asarray(picture), image.pixels)
    picture.putpixel((0, 0), (1, 2, 3))
    assert tuple(image.pixels[0, 0]) == PLAIN


@pytest.mark.parametrize("size", [(400, 300), (4000, 3000), (300, 400)])
def test_box_and_label_are_drawn_and_the_face_stays_free(size: tuple[int, int]) -> None:
    width, height = size
    image = photo(width, height)
    pixels = drawn(image, make_face(width * 0.4, height * 0.4, width * 0.2, height * 0.2))
    yellow = (pixels == (240, 228, 66)).all(axis=2)
    middle = np.s_[int(height * 0.45) : int(height * 0.55), int(width * 0.45) : int(width * 0.55)]
    assert not yellow[middle].any()
    assert (pixels[middle] == PLAIN).all()
    # The label: a good part of the picture's width, a readable height, next to the box.
    rows, columns = np.nonzero(yellow)
    assert rows.min() < height * 0.4
    assert columns.max() - columns.min() >= width * 0.19


def test_every_emotion_has_its_own_color() -> None:
    image = photo(400, 300)
    pictures = {drawn(image, make_face(150, 100, 80, 90, e)).tobytes() for e in Emotion}
    assert len(pictures) == len(Emotion)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (20, 20), (60, 12)])
def test_tiny_images(size: tuple[int, int]) -> None:
    assert drawn(photo(*size), make_face(0, 0, size[0], size[1])).shape == (size[1], size[0], 3)


def test_many_faces_are_quick() -> None:
    faces = [make_face(8.0 * (i % 50), 20.0 * (i // 50), 7, 9) for i in range(300)]
    assert drawn(photo(400, 300), *faces).shape == (300, 400, 3)


def overlap(one: Rect, other: Rect) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def place_all(size: tuple[int, int], faces: Sequence[Rect], label: tuple[int, int]) -> list[Rect]:
    layout = LabelLayout(size, faces)
    places = [layout.place([label], face, gap=2) for face in faces]
    assert None not in places
    return places


EDGES = {
    "middle": (180, 130, 220, 170),
    "top": (180, 0, 220, 40),
    "bottom": (180, 260, 220, 300),
    "left": (0, 130, 40, 170),
    "right": (360, 130, 400, 170),
    "corner": (360, 260, 400, 300),
    "full height": (180, 0, 220, 300),
    "full width": (0, 130, 400, 170),
}


@pytest.mark.parametrize("face", EDGES.values(), ids=EDGES)
def test_a_label_is_inside_the_image_and_off_its_face(face: Rect) -> None:
    (place,) = place_all((400, 300), [face], (100, 20))
    assert overlap(place, (0, 0, 400, 300)) == 100 * 20
    assert overlap(place, face) == 0


def test_a_crowd_of_fifteen() -> None:
    faces = [
        (20 + 76 * c, 30 + 95 * r, 70 + 76 * c, 90 + 95 * r) for r in range(3) for c in range(5)
    ]
    places = place_all((400, 320), faces, (60, 14))
    labels = sum(overlap(a, b) for i, a in enumerate(places) for b in places[:i])
    covered = sum(overlap(place, face) for place in places for face in faces)
    assert labels == 0
    assert covered == 0


def test_a_label_covers_the_edge_of_a_face_that_fills_the_image() -> None:
    (place,) = place_all((400, 300), [(0, 0, 400, 300)], (100, 20))
    assert place == (0, 0, 100, 20)


def test_a_label_shrinks_to_fit() -> None:
    # A gap of 60 pixels between two faces as high as the picture.
    left, right = (0, 0, 170, 300), (230, 0, 400, 300)
    layout = LabelLayout((400, 300), [left, right])
    place = layout.place([(100, 20), (50, 10)], left, gap=2)
    assert place is not None
    assert (place[2] - place[0], overlap(place, left), overlap(place, right)) == (50, 0, 0)


def test_no_label_where_none_fits() -> None:
    assert LabelLayout((30, 30), []).place([(40, 10), (10, 40)], (0, 0, 30, 30), gap=1) is None


def test_a_label_avoids_other_faces() -> None:
    # Above and below is no room; to the left the other face is near, to the right nobody.
    other, face = (80, 0, 140, 300), (200, 0, 240, 300)
    (_, place) = place_all((400, 300), [other, face], (55, 20))
    assert place[0] >= 240
