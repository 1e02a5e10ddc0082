"""VGG19 without its classifier, with or without BatchNorm.

Source: Simonyan and Zisserman 2014, arXiv 1409.1556, configuration E. Layers are numbered as in
torchvision's state dicts, which can be loaded directly.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["VGG", "Vgg19"]

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
PREFIX = "features."
# Addresses of torchvision's ImageNet weights; the end of a name is the start of its SHA-256.
VGG = {
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "vgg19-bn": "https://download.pytorch.org/models/vgg19_bn-c79401a0.pth",
}
# Red, green and blue of ImageNet's images, 0 to 1.
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)


class Vgg19(nn.Module):
    """Grey crops (N, 1, H, W) in [0, 1] to features (N, 512), by global average pooling."""

    features = STAGES[-1][0]
    mean: Tensor
    spread: Tensor

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layers(norm=variant.endswith("-bn")))
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        maps: Tensor = self.layers((crops - self.mean) / self.spread)
        return maps.mean(dim=(2, 3))

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start from ImageNet weights; the classifier is left out."""
        kept = {
            name.removeprefix(PREFIX): value
            for name, value in state.items()
            if name.startswith(PREFIX)
        }
        self.layers.load_state_dict(kept)


def _layers(*, norm: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for width, count in STAGES:
        for _ in range(count):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            channels = width
        layers.append(nn.MaxPool2d(2))
    return layers
