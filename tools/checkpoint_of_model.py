"""Make a training checkpoint of a quantized model, to train it further.

    python tools/checkpoint_of_model.py src/mien/artifacts/emotion-mobilenet/model.onnx \
        --data DIR --out start.pt
    mien-train train RECIPE --start start.pt ...

Quantized weights become floating-point numbers. The export folds BatchNorm into the convolutions;
the script separates it again, with statistics of FER2013's training faces, and checks that the
predictions stay the same.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from mien.classify.onnx import load_classifier
from mien.classify.preprocess import CropSpec
from mien_train.checkpoint import write_checkpoint
from mien_train.data import load_fer2013
from mien_train.evaluate import crops_of_faces
from mien_train.models import Classifier
from mien_train.models.mobilenet import MOBILENET

PREFIX = "classifier."
FACES = 256
# Share of faces whose prediction may change, as activations are not quantized any more.
MOST_CHANGED = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="ONNX file with its card beside it")
    parser.add_argument("--backbone", default=MOBILENET)
    parser.add_argument("--size", type=int, default=96, help="input in pixels (default: 96)")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds FER2013")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    faces = load_fer2013(arguments.data).split("Training").faces[:FACES]
    crops = crops_of_faces(faces, CropSpec(size_px=48))
    network = Classifier(arguments.backbone).eval()
    size = (arguments.size, arguments.size)
    larger = functional.interpolate(torch.from_numpy(crops), size=size, mode="bilinear")
    arrays = dequantized(arguments.model)
    if not arrays.keys() >= {f"{name}.weight" for name in names_of_layers(network)}:
        raise SystemExit(f"{arguments.model}: not a quantized {arguments.backbone}")
    load(network, arrays, larger)
    with torch.no_grad():
        ours = network(larger)[0].argmax(dim=1).numpy()
    theirs = load_classifier(arguments.model).outputs(crops)[0].argmax(axis=1)
    changed = float((ours != theirs).mean())
    if changed > MOST_CHANGED:
        raise SystemExit(f"{changed:.1%} of the predictions change: check --size")
    state = {
        "recipe": {"backbone": arguments.backbone, "name": arguments.model.parent.name},
        "size_px": arguments.size,
        "average": network.state_dict(),
        "step": 0,
    }
    write_checkpoint(arguments.out, state)
    print(f"{arguments.out}: {changed:.1%} of {len(faces)} predictions change")
    return 0


def dequantized(model: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights and biases of a graph by the names that they had in training."""
    graph = onnx.load(model).graph
    stored = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    # The first layers may not be quantized.
    arrays = {name.removeprefix(PREFIX): np.array(array) for name, array in stored.items()}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            values, scale, zero = (stored[name] for name in node.input)
            scale = scale.reshape(-1, *[1] * (values.ndim - 1)) if scale.ndim else scale
            zero = zero.reshape(scale.shape)
            name = node.input[0].removeprefix(PREFIX).removesuffix("_quantized")
            arrays[name] = ((values.astype(np.float64) - zero) * scale).astype(np.float32)
    return arrays


def names_of_layers(network: nn.Module) -> list[str]:
    """Return the names of the layers that have weights."""
    layers = network.named_modules()
    return [name for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]


@torch.no_grad()
def load(network: nn.Module, arrays: dict[str, NDArray[np.float32]], faces: Tensor) -> None:
    """Put folded weights into the network, and separate BatchNorm from them."""
    hooks, before = [], ""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.copy_(torch.from_numpy(arrays[f"{name}.weight"]))
            before = name
        if isinstance(layer, nn.Linear):
            layer.bias.copy_(torch.from_numpy(arrays[f"{name}.bias"]))
        if isinstance(layer, nn.BatchNorm2d):
            bias = torch.from_numpy(arrays[f"{before}.weight_bias"])
            hooks.append(layer.register_forward_pre_hook(_restorer(bias)))
    network(faces)
    for hook in hooks:
        hook.remove()


def _restorer(shift: Tensor) -> Callable[[nn.BatchNorm2d, tuple[Tensor]], None]:
    """Return a hook that gives BatchNorm the statistics of its input, and has it add ``shift``."""

    def restore(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + shift)

    return restore


if __name__ == "__main__":
    sys.exit(main())
