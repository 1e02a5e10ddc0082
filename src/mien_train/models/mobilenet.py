"""MobileNet-v1, to start from weights that were trained to recognize faces.

Source: Howard et al. 2017 (arXiv 1704.04861), width 1.0. The weights come from
tools/convert_mobilenet_vggface2.py, which knows the names used here.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from mien_train.models.efficientnet_lite import SameConv2d

__all__ = ["MOBILENET", "PIXEL_MEAN", "PIXEL_SPREAD", "MobileNet"]

MOBILENET = "mobilenet-vggface2"
STEM_CHANNELS = 32
# Channels and stride of each block.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
# As in TensorFlow, where the weights come from.
EPSILON = 1e-3
# Grey level and spread that the input is brought to, of pixels in [0, 1].
PIXEL_MEAN = 0.45
PIXEL_SPREAD = 0.25


class MobileNet(nn.Module):
    """Grey crops (N, 1, H, W) in [0, 1] to features (N, 1024), by global average pooling."""

    features = BLOCKS[-1][0]

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(1, STEM_CHANNELS, 3, 2, bias=False)
        self.norm = _norm(STEM_CHANNELS)
        inputs = (STEM_CHANNELS, *(channels for channels, _ in BLOCKS))
        self.blocks = nn.ModuleList(
            _Block(before, channels, stride)
            for before, (channels, stride) in zip(inputs, BLOCKS, strict=False)
        )

    def forward(self, crops: Tensor) -> Tensor:
        x = (crops - PIXEL_MEAN) / PIXEL_SPREAD
        x = functional.relu6(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return x.mean(dim=(2, 3))

    def early_layers(self, blocks: int) -> list[nn.Module]:
        """Return the stem and the first blocks."""
        return [self.stem, self.norm, *self.blocks[:blocks]]

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Start from weights that were trained on faces."""
        self.load_state_dict(state)


class _Block(nn.Module):
    """A depthwise convolution, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(inputs, inputs, 3, stride, groups=inputs, bias=False)
        self.depthwise_norm = _norm(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise_norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.depthwise_norm(self.depthwise(x)))
        return functional.relu6(self.pointwise_norm(self.pointwise(x)))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)
