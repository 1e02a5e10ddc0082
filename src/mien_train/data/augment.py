"""Augmentation of whole batches on the training device: geometry, light, erasing, mixing."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mien_train.recipe import Augmentation

# JPEG's blocks, and how coarse their lowest frequency becomes at most, on a scale of 0 to 1.
BLOCK, MOST_COARSE = 8, 0.1
# Squeezed faces keep at least this part of their range.
LEAST_RANGE = 0.35
# Height of the eyes in FER2013's faces.
EYES = 0.39


def augment(faces: Tensor, size: int, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Return (N, 1, size, size) from faces (N, 1, 48, 48) in [0, 1]; each has its own change."""
    faces = _blur(faces, limits, generator)
    faces = _jpeg(faces, limits, generator)
    faces = _warp(faces, size, limits, generator)
    faces = _light(faces, limits, generator)
    faces = _fade(faces, limits, generator)
    faces = _cover(faces, limits, generator)
    return _erase(faces, limits, generator)


def mixup(
    faces: Tensor, targets: list[Tensor], alpha: float, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """Blend every face and its targets with another one of the batch.

    Source: Zhang et al. 2018, arXiv 1710.09412; one weight per face, at least one half.
    """
    if alpha <= 0:
        return faces, targets
    count = len(faces)
    # Beta(a, a) as a ratio of two Gamma draws, so that the generator decides.
    gamma = torch._standard_gamma(torch.full((2, count), alpha), generator=generator)
    weight = gamma[0] / gamma.sum(0).clamp_min(1e-12)
    weight = torch.maximum(weight, 1 - weight).to(faces.device)
    other = torch.randperm(count, generator=generator).to(faces.device)
    mixed = torch.lerp(faces[other], faces, weight.view(-1, 1, 1, 1))
    return mixed, [torch.lerp(t[other], t, weight.view(-1, 1)) for t in targets]


def _uniform(count: int, limit: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return ((torch.rand(count, generator=generator) * 2 - 1) * limit).to(like.device)


def _happens(count: int, rate: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < rate).to(like.device)


def _warp(faces: Tensor, size: int, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Rotate, zoom, shear, shift and flip in one resampling, straight to the network's size."""
    count = len(faces)
    angle = _uniform(count, math.radians(limits.rotate), faces, generator)
    zoom = 1 + _uniform(count, limits.zoom, faces, generator)
    shear = _uniform(count, limits.shear, faces, generator)
    flip = 1 - 2 * _happens(count, limits.flip_rate, faces, generator).float()
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    # A shift of one side is two units in grid coordinates.
    shift_x = 2 * _uniform(count, limits.shift, faces, generator)
    shift_y = 2 * _uniform(count, limits.shift, faces, generator)
    first = torch.stack([cos * flip, -sin + shear, shift_x], dim=1)
    second = torch.stack([sin * flip, cos, shift_y], dim=1)
    grid = functional.affine_grid(
        torch.stack([first, second], dim=1), [count, 1, size, size], align_corners=False
    )
    return functional.grid_sample(
        faces, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _light(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(faces)
    gain = (1 + _uniform(count, limits.contrast, faces, generator)).view(-1, 1, 1, 1)
    bias = _uniform(count, limits.brightness, faces, generator).view(-1, 1, 1, 1)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    return ((faces - mean) * gain + mean + bias).clamp(0, 1)


def _blur(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Soften some faces, as small or out-of-focus ones in photos are."""
    chosen = _happens(len(faces), limits.blur_rate, faces, generator)
    if not chosen.any():
        return faces
    smaller = functional.interpolate(faces, scale_factor=0.5, mode="area")
    soft = functional.interpolate(smaller, size=faces.shape[-2:], mode="bilinear")
    return torch.where(chosen.view(-1, 1, 1, 1), soft, faces)


def _jpeg(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Coarsen the 8 x 8 blocks' frequencies, the higher the more, as JPEG does."""
    chosen = _happens(len(faces), limits.jpeg_rate, faces, generator)
    if not chosen.any():
        return faces
    waves = _cosines(faces)
    step = torch.rand(len(faces), generator=generator).to(faces.device) * MOST_COARSE
    order = torch.arange(BLOCK, device=faces.device)
    steps = step.view(-1, 1, 1, 1, 1) * (1 + order.view(-1, 1) + order) + 1e-6
    count, side = len(faces), faces.shape[-1]
    tiles = faces.reshape(count, side // BLOCK, BLOCK, side // BLOCK, BLOCK).transpose(2, 3)
    coarse = ((waves @ tiles @ waves.T) / steps).round() * steps
    tiles = (waves.T @ coarse @ waves).transpose(2, 3)
    return torch.where(chosen.view(-1, 1, 1, 1), tiles.reshape(faces.shape).clamp(0, 1), faces)


def _cosines(like: Tensor) -> Tensor:
    """Return the orthonormal discrete cosine transform of a block, as a matrix."""
    order = torch.arange(BLOCK, device=like.device, dtype=like.dtype)
    waves = torch.cos(math.pi / BLOCK * order.view(-1, 1) * (order + 0.5)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _fade(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Squeeze some faces into a part of the range of light, dark, bright or between."""
    count = len(faces)
    chosen = _happens(count, limits.fade_rate, faces, generator).view(-1, 1, 1, 1)
    draw = torch.rand(2, count, 1, 1, 1, generator=generator).to(faces.device)
    part = LEAST_RANGE + (1 - LEAST_RANGE) * draw[0]
    return torch.where(chosen, faces * part + (1 - part) * draw[1], faces)


def _cover(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Cover the eyes or the lower half of some faces in one shade, as glasses and masks do."""
    count, side = len(faces), faces.shape[-1]
    chosen = _happens(count, limits.cover_rate, faces, generator)
    lower = _happens(count, 0.5, faces, generator).view(-1, 1)
    draw = torch.rand(2, count, 1, generator=generator).to(faces.device)
    place = (torch.arange(side, device=faces.device) + 0.5) / side
    band = (place - EYES).abs() < 0.08 + 0.06 * draw[0]
    mask = torch.where(lower, place > 0.5 + 0.12 * draw[0], band) & chosen.view(-1, 1)
    return torch.where(mask.view(count, 1, side, 1), draw[1].view(-1, 1, 1, 1), faces)


def _erase(faces: Tensor, limits: Augmentation, generator: torch.Generator) -> Tensor:
    """Cover a rectangle with noise. Source: Zhong et al. 2017, arXiv 1708.04896."""
    count, side = len(faces), faces.shape[-1]
    chosen = _happens(count, limits.erase_rate, faces, generator)
    if not chosen.any():
        return faces
    half = torch.rand(2, count, 1, generator=generator).to(faces.device) * limits.erase / 2 + 0.05
    center = torch.rand(2, count, 1, generator=generator).to(faces.device)
    place = (torch.arange(side, device=faces.device) + 0.5) / side
    inside_y, inside_x = (place - center).abs() < half
    mask = inside_y.unsqueeze(2) & inside_x.unsqueeze(1) & chosen.view(-1, 1, 1)
    noise = torch.rand(faces.shape, generator=generator).to(faces.device)
    return torch.where(mask.unsqueeze(1), noise, faces)
