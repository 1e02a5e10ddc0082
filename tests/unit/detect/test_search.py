import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.detect.mtcnn import MtcnnDetector, cascade
from mien.detect.mtcnn.pyramid import AreaTable, PicturePyramid, Scratch, level_size, pyramid_scales
from mien.detect.mtcnn.search import exact_search, usual_search
from mien.detect.scale import shrunk
from mien.types import RgbImage


@pytest.mark.parametrize(
    ("width", "height", "smallest", "shrink"),
    [
        (1, 1, 20, 1),
        (320, 240, 20, 1),
        (640, 360, 30, 1),
        (640, 480, 36, 2),
        (960, 936, 36.46, 2),
        (1080, 1920, 55.38, 3),
        (4000, 3000, 133.23, 7),
    ],
)
def test_the_usual_smallest_face_follows_the_picture(
    width: int, height: int, smallest: float, shrink: int
) -> None:
    search = usual_search(height, width)
    assert search.min_face_size == pytest.approx(smallest, abs=0.01)
    assert search.shrink == shrink


def test_a_given_face_size_is_searched_exactly() -> None:
    search = exact_search(33)
    assert (search.min_face_size, search.shrink, search.factor) == (33, 1, 0.709)
    assert search.exact


@pytest.mark.parametrize("size", [240, 480, 700, 1100, 2000])
def test_both_searches_agree_on_a_clear_face(astronaut: NDArray[np.uint8], size: int) -> None:
    image = RgbImage(np.asarray(Image.fromarray(astronaut).resize((size, size))))
    detector = MtcnnDetector()
    (usual,), (exact,) = detector.detect(image), detector.detect(image, min_face_size=40)
    assert usual.landmarks is not None
    assert exact.landmarks is not None
    gap = np.abs(usual.landmarks.to_array() - exact.landmarks.to_array()).max()
    assert gap < 0.07 * exact.box.height


def test_of_too_many_hits_the_best_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "MAX_HITS", 30)
    scores = np.random.default_rng(0).permutation(100).astype(np.float32)
    hits = np.stack([np.arange(100, dtype=np.float32)] * 2 + [scores] * 5, axis=1)
    best = cascade._best(iter(np.split(hits, 20)))
    np.testing.assert_array_equal(best, hits[scores >= 70])
    np.testing.assert_array_equal(cascade._best(iter([hits[:30]])), hits[:30])
    assert cascade._best(iter([])).shape == (0, 7)


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_shrunk_pixels_are_means(factor: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 44, 3), dtype=np.uint8)
    small = shrunk(RgbImage(pixels), factor).pixels
    assert small.shape == (-(-31 // factor), -(-44 // factor), 3)
    for y, x in ((0, 0), (1, 2), (len(small) - 1, small.shape[1] - 1)):
        square = pixels[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        np.testing.assert_allclose(small[y, x], square.mean(axis=(0, 1)), atol=1.01)


def test_crops_from_pixels_are_those_of_the_table() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 144, 3), dtype=np.uint8)
    # Whole multiples of the size: there the windows of both are the same.
    edges = np.array([[0, 0, 96, 96], [48, 48, 96, 96], [0, 0, 144, 48]])
    ours = PicturePyramid(RgbImage(pixels)).crops(edges, 48)
    np.testing.assert_allclose(ours, AreaTable(pixels, Scratch()).crops(edges, 48), atol=1.01)


def test_levels_from_pillow_are_those_of_the_table(astronaut: NDArray[np.uint8]) -> None:
    scales = pyramid_scales(*astronaut.shape[:2], 36, 0.6)
    sizes = [level_size(*astronaut.shape[:2], scale) for scale in scales]
    pyramid, table = PicturePyramid(RgbImage(astronaut)), AreaTable(astronaut, Scratch())
    pairs = zip(pyramid.levels(sizes), table.levels(sizes), sizes, strict=True)
    for ours, theirs, (height, width) in pairs:
        whole = ours(0, height)
        assert whole.shape == (1, 3, height, width)
        np.testing.assert_array_equal(ours(2, 7), whole[:, :, 2:7])
        # The table's windows share pixels with their neighbours, and Pillow's levels come from the
        # ones before: alike, not equal.
        assert np.corrcoef(whole.ravel(), theirs(0, height).ravel())[0, 1] > 0.97


def test_no_levels_for_a_picture_that_is_too_small() -> None:
    pyramid = PicturePyramid(RgbImage(np.zeros((1, 1, 3), dtype=np.uint8)))
    assert list(pyramid.levels([])) == []
