"""Training targets as tensors: votes and labels, smoothed and mixed with teachers' predictions."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.classify.crop import stretched
from mien_train.data.fer2013 import NO_LABEL, FerDataset

__all__ = ["Targets"]


@dataclass(frozen=True, slots=True)
class Targets:
    """Training rows as tensors: faces (N, 48, 48) uint8, ferplus (N, 8), fer2013 (N, 7).

    A row of zeros adds nothing to its output's loss.
    """

    faces: Tensor
    ferplus: Tensor
    fer2013: Tensor

    @classmethod
    def from_dataset(cls, data: FerDataset, label_smoothing: float) -> "Targets":
        labels = torch.from_numpy(data.fer2013)
        known = (labels != NO_LABEL).float().unsqueeze(1)
        hard = functional.one_hot(labels.clamp_min(0), 7).float()
        # The contrast of flat faces is stretched, as for crops in serving.
        faces = [stretched(face / np.float32(255)) for face in data.faces]
        return cls(
            (torch.from_numpy(np.stack(faces)) * 255).round().to(torch.uint8),
            torch.from_numpy(data.ferplus_distribution()),
            known * (hard * (1 - label_smoothing) + label_smoothing / 7),
        )

    def distilled(self, ferplus: Tensor, fer2013: Tensor, share: float) -> "Targets":
        """Return targets mixed with a share of teachers' probabilities.

        Faces without a FER2013 label keep their targets: teachers predict only FER2013's faces.
        """
        # Faces without emotion votes then have only the teachers' probabilities.
        shares = share * (self.fer2013.sum(dim=1, keepdim=True) > 0)
        return Targets(
            self.faces, self.ferplus.lerp(ferplus, shares), self.fer2013.lerp(fer2013, shares)
        )

    def to(self, device: torch.device) -> "Targets":
        """Return the same rows on a device; all of FER2013 takes 70 MB there."""
        return Targets(self.faces.to(device), self.ferplus.to(device), self.fer2013.to(device))
