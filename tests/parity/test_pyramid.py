from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from mien.detect.mtcnn import MtcnnDetector, cascade, pyramid
from mien.detect.mtcnn.pyramid import AreaTable, LargeImage, Scratch, level_size, pyramid_scales
from mien.types import RgbImage


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (61, 83, 3), dtype=np.uint8)


def area(pixels: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The reference's own resampling."""
    planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(planes, size=size_hw, mode="area").numpy()


@pytest.mark.parametrize(
    ("size_hw", "min_face_size", "count"),
    [
        ((11, 400), 20, 0),
        ((19, 19), 20, 0),
        ((20, 20), 20, 1),
        ((480, 640), 20, 10),
        ((480, 640), 40, 8),
    ],
)
def test_scales_stop_at_the_window(
    size_hw: tuple[int, int], min_face_size: int, count: int
) -> None:
    scales = pyramid_scales(*size_hw, min_face_size, 0.709)
    assert len(scales) == count
    assert all(min(size_hw) * scale >= 12 for scale in scales)


@pytest.mark.parametrize("size_hw", [(61, 83), (37, 50), (12, 16), (1, 1), (90, 120), (61, 3)])
def test_resampling_matches_the_baseline(pixels: np.ndarray, size_hw: tuple[int, int]) -> None:
    ours = AreaTable(pixels, Scratch()).resized(*size_hw)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, area(pixels, size_hw), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size_px", [24, 48])
def test_crops_match_the_baseline(pixels: np.ndarray, size_px: int) -> None:
    edges = np.array([[0, 0, 83, 61], [5, 7, 6, 8], [10, 3, 43, 36], [60, 40, 83, 61]])
    ours = AreaTable(pixels, Scratch()).crops(edges, size_px)
    for crop, (left, top, right, bottom) in zip(ours, edges, strict=True):
        expected = area(pixels[top:bottom, left:right], (size_px, size_px))[0]
        np.testing.assert_allclose(crop, expected, rtol=1e-5, atol=1e-3)


def test_sums_beyond_32_bits_stay_exact() -> None:
    white = np.full((4200, 4200, 3), 255, dtype=np.uint8)
    np.testing.assert_allclose(AreaTable(white, Scratch()).resized(50, 50), 255, rtol=1e-6)


def test_levels_follow_the_scales(pixels: np.ndarray) -> None:
    table = AreaTable(pixels, Scratch())
    for scale, size in ((0.6, (37, 50)), (0.3, (19, 25))):
        assert level_size(table.height, table.width, scale) == size
        whole = table.resized(*size)
        assert whole.shape == (1, 3, *size)
        np.testing.assert_array_equal(table.resized(*size, 3, 11), whole[:, :, 3:11])


def test_memory_is_kept_per_thread_and_name() -> None:
    scratch = Scratch()
    first = scratch.array("one", (4, 5))
    first[:] = 7
    assert (scratch.array("one", (2, 5)) == 7).all(), "the same memory"
    assert not np.shares_memory(first, scratch.array("two", (4, 5)))
    assert scratch.array("one", (40, 5)).shape == (40, 5)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scratch.array, "one", (4, 5)).result()
    assert not np.shares_memory(other, scratch.array("one", (4, 5)))


def test_a_smaller_image_after_a_larger_one(pixels: np.ndarray) -> None:
    scratch = Scratch()
    AreaTable(np.full((200, 300, 3), 255, dtype=np.uint8), scratch)
    ours = AreaTable(pixels, scratch).resized(37, 50)
    np.testing.assert_allclose(ours, area(pixels, (37, 50)), rtol=1e-5, atol=1e-3)


def test_a_table_built_in_parts_is_the_same(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = AreaTable(pixels, Scratch()).resized(37, 50)
    for kept in (1, 4 * 62 * 7):
        monkeypatch.setattr(pyramid, "MAX_KEPT", kept)
        np.testing.assert_array_equal(AreaTable(pixels, Scratch()).resized(37, 50), expected)


def test_a_large_image_gives_the_same_results_as_a_table(pixels: np.ndarray) -> None:
    table, large = AreaTable(pixels, Scratch()), LargeImage(RgbImage(pixels))
    np.testing.assert_array_equal(large.resized(37, 50), table.resized(37, 50))
    np.testing.assert_array_equal(large.resized(37, 50, 5, 9), table.resized(37, 50, 5, 9))
    edges = np.array([[0, 0, 20, 30], [5, 7, 40, 41], [3, 3, 4, 4]])
    np.testing.assert_allclose(large.crops(edges, 24), table.crops(edges, 24), rtol=1e-6)


def test_a_large_image_is_never_summed_at_once(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    summed = []

    def table(part: np.ndarray, scratch: Scratch) -> AreaTable:
        summed.append(part.shape[0] * part.shape[1])
        return AreaTable(part, scratch)

    monkeypatch.setattr(pyramid, "AreaTable", table)
    monkeypatch.setattr(pyramid, "PART_PIXELS", 500)
    large = LargeImage(RgbImage(Image.fromarray(pixels)))
    everything = np.array([[0, 0, large.width, large.height]])
    expected = AreaTable(pixels, Scratch()).crops(everything, 24)
    np.testing.assert_allclose(large.crops(everything, 24), expected, rtol=1e-6)
    # Windows share a row with the next, so that parts are somewhat larger.
    assert max(summed) <= 1000


def test_the_cascade_finds_the_same_faces_in_a_large_image(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, image = MtcnnDetector(), RgbImage(astronaut)
    before = detector.detections(image, min_face_size=40)
    monkeypatch.setattr(cascade, "MAX_TABLE_PIXELS", 1000)
    after = detector.detections(image, min_face_size=40)
    np.testing.assert_allclose(after, before, atol=1e-3)
