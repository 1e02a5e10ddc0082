import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage import data

from mien.classify.detail import fine_detail, laplacian
from mien.classify.preprocess import Layout

# Around the astronaut's face.
FACE = Image.fromarray(data.astronaut()[60:190, 160:290])


def crop(blur_px: float = 0.0) -> NDArray[np.float32]:
    """Return a crop (1, 3, 48, 48), blurred with this standard deviation."""
    small = FACE.resize((48, 48), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur_px))
    return np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[np.newaxis] / 255


def test_blurred_crops_have_less_detail() -> None:
    sharp, soft, softer = (fine_detail(crop(px), Layout.NCHW)[0] for px in (0, 1, 2))
    assert sharp > 4 * soft > 16 * softer


def test_brightness_contrast_and_normalization_do_not_change_it() -> None:
    plain = fine_detail(crop(), Layout.NCHW)
    for scale, offset in ((255, 0), (0.3, 0.5), (-1, 1), (4, -2)):
        changed = crop() * np.float32(scale) + np.float32(offset)
        np.testing.assert_allclose(fine_detail(changed, Layout.NCHW), plain, rtol=1e-3)


def test_each_crop_has_its_own_in_either_layout() -> None:
    crops = np.concatenate([crop(), crop(2), crop()])
    rows = fine_detail(crops, Layout.NCHW)
    assert rows.shape == (3,)
    assert rows.dtype == np.float32
    assert rows[0] == rows[2] > rows[1]
    channels_last = crops.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(fine_detail(channels_last, Layout.NHWC), rows, rtol=1e-5)


@pytest.mark.parametrize("shade", [0.0, 0.4, 1.0])
def test_crops_of_one_shade_have_the_least(shade: float) -> None:
    blank = np.full((2, 1, 48, 48), shade, dtype=np.float32)
    assert (fine_detail(blank, Layout.NCHW) > 0).all()
    assert (fine_detail(blank, Layout.NCHW) < fine_detail(crop(4), Layout.NCHW)).all()


def test_the_laplacian_is_zero_on_slopes() -> None:
    slope = np.add.outer(np.arange(5.0), 2 * np.arange(6.0)).astype(np.float32)
    assert (laplacian(slope) == np.zeros((3, 4))).all()
    slope[2, 3] += 1
    assert laplacian(slope)[1].tolist() == [0, 1, -4, 1]
