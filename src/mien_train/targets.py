"""What a network learns from, as tensors: votes and labels, smoothed and mixed with teachers'."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mien_train.data.fer2013 import FerDataset

__all__ = ["Targets"]


@dataclass(frozen=True, slots=True)
class Targets:
    """Training rows as tensors: faces (N, 48, 48) uint8, ferplus (N, 8), fer2013 (N, 7)."""

    faces: Tensor
    ferplus: Tensor
    fer2013: Tensor

    @classmethod
    def of(cls, data: FerDataset, label_smoothing: float) -> "Targets":
        hard = functional.one_hot(torch.from_numpy(data.fer2013), 7).float()
        return cls(
            torch.from_numpy(data.faces),
            torch.from_numpy(data.ferplus_distribution()),
            hard * (1 - label_smoothing) + label_smoothing / 7,
        )

    def taught(self, ferplus: Tensor, fer2013: Tensor, share: float) -> "Targets":
        """Return targets of which a share comes from teachers' probabilities."""
        # Also where a face has no emotion votes at all: there the teachers' are the only ones.
        return Targets(
            self.faces, self.ferplus.lerp(ferplus, share), self.fer2013.lerp(fer2013, share)
        )

    def to(self, device: torch.device) -> "Targets":
        """Return the same rows on a device; all of FER2013 takes 70 MB there."""
        return Targets(self.faces.to(device), self.ferplus.to(device), self.fer2013.to(device))
