"""Validation of the weights on held-out faces during training."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mien_train.data.fer2013 import FerDataset
from mien_train.models import Classifier
from mien_train.targets import Targets

__all__ = ["validate"]

VALIDATION_BATCH = 256
Loss = Callable[[tuple[Tensor, Tensor], list[Tensor]], Tensor]


@torch.no_grad()
def validate(
    model: Classifier, data: FerDataset, targets: Targets, size_px: int, loss: Loss
) -> tuple[float, float | None, float]:
    """Return loss, FER+ majority and FER2013 accuracy, single view, by plain bilinear enlargement.

    The second is None if no face has a majority of votes.
    """
    right, total = [], 0.0
    majority = torch.from_numpy(data.ferplus_majority()).to(targets.faces.device)
    truth = torch.stack([majority, targets.fer2013.argmax(dim=1)])
    for at in range(0, len(data), VALIDATION_BATCH):
        rows = slice(at, at + VALIDATION_BATCH)
        faces = targets.faces[rows].unsqueeze(1).float() / 255
        crops = functional.interpolate(faces, size=(size_px, size_px), mode="bilinear")
        logits = model(crops.to(memory_format=torch.channels_last))
        total += float(loss(logits, [targets.ferplus[rows], targets.fer2013[rows]])) * len(faces)
        right.append(torch.stack([output.argmax(dim=1) for output in logits]) == truth[:, rows])
    ferplus, fer2013 = torch.cat(right, dim=1).cpu().double()
    counted = majority.cpu() >= 0
    share = float(ferplus[counted].mean()) if bool(counted.any()) else None
    return total / len(data), share, float(fer2013.mean())
