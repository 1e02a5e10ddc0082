"""From a checkpoint to one self-contained ONNX file with its card."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.runtime.ort import OrtSession
from mien_train.card import MODEL_FILE, new_card
from mien_train.checkpoint import read_checkpoint
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, SIDE
from mien_train.errors import TrainingError
from mien_train.models import Classifier
from mien_train.models.mobilenet import MOBILENET

PARITY = 1e-4
LABELS = {"ferplus": FERPLUS_LABELS, "fer2013": FER2013_LABELS}


class Served(nn.Module):
    """The exported network: 48-pixel crops, enlarged inside the graph to the training size.

    outputs: the outputs to keep, in their order.
    """

    def __init__(self, classifier: Classifier, size_px: int, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.classifier = classifier
        self.size_px = size_px
        self.outputs = outputs

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        size = (self.size_px, self.size_px)
        enlarged = functional.interpolate(crops, size=size, mode="bilinear", align_corners=False)
        ferplus, fer2013 = self.classifier(enlarged)
        named = {"ferplus": ferplus, "fer2013": fer2013}
        return tuple(named[output] for output in self.outputs)


def export(checkpoint: Path, folder: Path, prior: Mapping[str, float] | None = None) -> Path:
    """Write ``model.onnx`` and ``card.toml`` into ``folder``; return the model's path.

    prior: added to logits of the FER+ output, by emotion, to correct for class frequencies that
    differ from the training data.
    Raises TrainingError if ONNX Runtime and torch disagree by more than 1e-4, or if there is a
    ``prior`` but the run has not trained the FER+ output.
    """
    prior = prior or {}
    state = read_checkpoint(checkpoint)
    recipe = state["recipe"]
    # Checkpoints that were made of a model have neither.
    outputs = trained_outputs(recipe.get("ferplus_weight", 1.0), state.get("data"))
    if prior and "ferplus" not in outputs:
        raise TrainingError(
            f"--prior changes the FER+ output, which this run of {recipe['name']} did not train"
        )
    classifier = Classifier(recipe["backbone"])
    classifier.load_state_dict(state["average"])
    with torch.no_grad():
        for label, value in prior.items():
            classifier.ferplus.bias[FERPLUS_LABELS.index(label)] += value
    served = Served(classifier, state["size_px"], outputs).eval()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MODEL_FILE
    _write(served, path)
    _check_parity(served, path)
    new_card(
        path,
        model={
            "size_px": SIDE,
            "labels": list(LABELS[outputs[0]]),
            "temperature": 1.0,
        },
        about={
            "description": f"{recipe['backbone']}, recipe {recipe['name']}, {state['step']} steps"
            + "".join(f", {label} {value:+g}" for label, value in prior.items()),
            "licence": f"Apache-2.0 (weights of the backbone: {_licence(recipe['backbone'])})",
            "source": f"mien-train train {recipe['name']}",
            "data": _data(state),
        },
        training=state.get("data"),
    )
    return path


def trained_outputs(ferplus_weight: float, data: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the outputs that a run trains: FER+'s needs a weight, and votes or teachers.

    data: the run's record of its training data; None: unknown, so that targets are assumed.
    """
    has_targets = data is None or data["faces_with_votes"] or data["teachers"]
    return tuple(LABELS)[0 if ferplus_weight and has_targets else 1 :]


def _data(state: dict[str, Any]) -> str:
    """Describe the training data, for the card."""
    data = state.get("data")
    faces = "FER2013 Training with FER+ votes"
    if data is not None and not data["faces_with_votes"]:
        faces = f"{data['faces']:,} faces with one label each"
    return f"{faces}{_natural(state)}; research use, see the data's own terms"


def _licence(backbone: str) -> str:
    return "MIT, after Apache-2.0; from VGGFace2" if backbone == MOBILENET else "Apache-2.0"


def _natural(state: dict[str, Any]) -> str:
    """Return how many natural faces a run learned from, as a part of a sentence."""
    repeat = state["recipe"].get("natural_repeat", 0)
    if not repeat:
        return ""
    data = state["data"]
    count = (data["faces"] - sum(data["labels"].values())) // repeat
    return f" and {count:,} faces of everyday photos, labeled by eye, {repeat} times an epoch"


def _write(served: Served, path: Path) -> None:
    sample = torch.rand(2, 1, SIDE, SIDE)
    with warnings.catch_warnings():
        # The exporter warns about its own deprecations.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            (sample,),
            str(path),
            input_names=["crops"],
            output_names=list(served.outputs),
            dynamic_shapes={"crops": {0: torch.export.Dim("faces", min=1)}},
            external_data=False,
            dynamo=True,
            verbose=False,
        )


def _check_parity(served: Served, path: Path) -> None:
    session = OrtSession(path.read_bytes())
    for faces in (1, 5):
        crops = torch.rand(faces, 1, SIDE, SIDE)
        with torch.no_grad():
            expected = served(crops)
        for actual, wanted in zip(session.run({"crops": crops.numpy()}), expected, strict=True):
            gap = float(np.abs(actual - wanted.numpy()).max())
            if gap > PARITY:
                raise TrainingError(f"{path.name} differs from torch by {gap:.2e}")
