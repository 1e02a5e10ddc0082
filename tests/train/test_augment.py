from dataclasses import replace

import pytest
import torch

from mien_train.data.augment import augment, mixup
from mien_train.recipe import Augmentation

NOTHING = Augmentation(
    shift=0, rotate=0, zoom=0, shear=0, flip_rate=0, brightness=0, contrast=0, erase_rate=0
)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def faces(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 48, 48, generator=generator(0))


def test_without_changes_the_face_stays() -> None:
    torch.testing.assert_close(augment(faces(), 48, NOTHING, generator()), faces())


def test_flip_mirrors() -> None:
    flipped = augment(faces(), 48, replace(NOTHING, flip_rate=1.0), generator())
    torch.testing.assert_close(flipped, faces().flip(3))


@pytest.mark.parametrize("size", [48, 64, 96])
def test_size_range_and_repeatability(size: int) -> None:
    limits = Augmentation(blur_rate=0.5, erase_rate=0.5, mixup=0.2)
    first = augment(faces(), size, limits, generator())
    assert first.shape == (6, 1, size, size)
    assert first.min() >= 0
    assert first.max() <= 1
    torch.testing.assert_close(first, augment(faces(), size, limits, generator()))
    assert not torch.equal(first, augment(faces(), size, limits, generator(2)))


@pytest.mark.parametrize("name", ["shift", "rotate", "zoom", "shear", "brightness", "contrast"])
def test_each_limit_changes_something(name: str) -> None:
    limits = replace(NOTHING, **{name: 0.2 if name != "rotate" else 20.0})
    assert (augment(faces(), 48, limits, generator()) - faces()).abs().mean() > 0.005


def test_mixup_blends_faces_and_targets_equally() -> None:
    targets = torch.eye(6)
    mixed, (blended,) = mixup(faces(), [targets], 1.0, generator())
    torch.testing.assert_close(blended.sum(dim=1), torch.ones(6))
    assert (blended.diagonal() >= 0.5).all()
    torch.testing.assert_close(mixed, torch.einsum("nm,mchw->nchw", blended, faces()))


def test_mixup_zero_changes_nothing() -> None:
    mixed, (same,) = mixup(faces(), [torch.eye(6)], 0.0, generator())
    assert torch.equal(mixed, faces())
    assert torch.equal(same, torch.eye(6))


def test_jpeg_coarsens_blocks_and_keeps_the_face() -> None:
    smooth = torch.linspace(0, 1, 48).expand(6, 1, 48, 48).contiguous()
    coarse = augment(smooth, 48, replace(NOTHING, jpeg_rate=1.0), generator())
    change = (coarse - smooth).abs()
    assert change.max() > 0.01
    assert change.mean() < 0.1


def test_fading_keeps_a_third_of_the_range_and_the_order() -> None:
    faded = augment(faces(), 48, replace(NOTHING, fade_rate=1.0), generator())
    spans = faded.amax(dim=(1, 2, 3)) - faded.amin(dim=(1, 2, 3))
    assert (spans > 0.34).all()
    assert (spans < 1).all()
    assert len(set(spans.tolist())) == 6
    for face, before in zip(faded, faces(), strict=True):
        assert torch.equal(face.flatten().argsort()[:50], before.flatten().argsort()[:50])


def test_covering_hides_the_eyes_or_the_lower_half() -> None:
    many = faces(40)
    covered = augment(many, 48, replace(NOTHING, cover_rate=1.0), generator())
    kept = torch.isclose(covered, many, atol=1e-4).all(dim=3)[:, 0]
    assert kept[:, :12].all(), "the forehead stays"
    lower = ~kept[:, -1]
    assert 0 < lower.sum() < 40
    assert not kept[~lower, 19].any(), "the eyes' height"
    for face, rows in zip(covered, kept, strict=True):
        assert face[0, ~rows].unique().numel() == 1, "one shade"
