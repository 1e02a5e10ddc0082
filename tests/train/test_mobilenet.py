"""MobileNet-v1 and the conversion of its start weights."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mien_train.errors import TrainingError
from mien_train.models import build_classifier
from mien_train.models.mobilenet import BLOCKS, MOBILENET, STEM_CHANNELS, MobileNet

ROOT = Path(__file__).parents[2]
MEANS = (103.939, 116.779, 123.68)

Weights = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "convert_mobilenet_vggface2.py"))


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Made-up weights under the names that the original has."""
    random = np.random.default_rng(3)

    def kernel(side: int, inputs: int, outputs: int) -> NDArray[np.float32]:
        scale = np.sqrt(2 / (side * side * inputs))
        return random.normal(0, scale, (side, side, inputs, outputs)).astype(np.float32)

    def shift(channels: int) -> NDArray[np.float32]:
        return random.normal(0.3, 0.1, channels).astype(np.float32)

    made = {
        "conv1/convolution/merged_input": kernel(3, 3, STEM_CHANNELS) / 64,
        "conv1_bn/batchnorm_1/sub": shift(STEM_CHANNELS),
    }
    inputs = STEM_CHANNELS
    for number, (outputs, _) in enumerate(BLOCKS, start=1):
        depth, point = f"conv_dw_{number}", f"conv_pw_{number}"
        made[f"{depth}/depthwise_kernel"] = kernel(3, 1, inputs).transpose(0, 1, 3, 2)
        made[f"{depth}_bn/batchnorm_1/mul"] = 1 + shift(inputs)
        made[f"{depth}_bn/batchnorm_1/sub"] = shift(inputs)
        made[f"{point}/convolution/merged_input"] = kernel(1, inputs, outputs)
        made[f"{point}_bn/batchnorm_1/sub"] = shift(outputs)
        inputs = outputs
    return made


def original(weights: Weights, colors: torch.Tensor) -> torch.Tensor:
    """The network as TensorFlow runs it, from colors of 0 to 255 less their means."""

    def same(x: torch.Tensor, name: str, stride: int, groups: int = 1) -> torch.Tensor:
        kernel = torch.from_numpy(weights[name].transpose(3, 2, 0, 1).copy())
        if groups > 1:
            kernel = kernel.transpose(0, 1)
        rest = x.shape[-1] % stride or stride
        total = max(0, kernel.shape[-1] - rest)
        before, after = total // 2, total - total // 2
        x = functional.pad(x, (before, after, before, after))
        return functional.conv2d(x, kernel, stride=stride, groups=groups)

    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(weights[name]).view(1, -1, 1, 1)

    x = same(colors, "conv1/convolution/merged_input", 2)
    x = (x + column("conv1_bn/batchnorm_1/sub")).clamp(0, 6)
    for number, (_, stride) in enumerate(BLOCKS, start=1):
        depth, point = f"conv_dw_{number}", f"conv_pw_{number}"
        x = same(x, f"{depth}/depthwise_kernel", stride, groups=x.shape[1])
        x = x * column(f"{depth}_bn/batchnorm_1/mul") + column(f"{depth}_bn/batchnorm_1/sub")
        x = same(x.clamp(0, 6), f"{point}/convolution/merged_input", 1)
        x = (x + column(f"{point}_bn/batchnorm_1/sub")).clamp(0, 6)
    return x.mean(dim=(2, 3))


def test_the_converted_network_matches_the_original(tool: dict[str, Any], weights: Weights) -> None:
    faces = torch.rand(16, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    colors = faces.expand(-1, 3, -1, -1) * 255 - torch.tensor(MEANS).view(1, 3, 1, 1)
    network = MobileNet().eval()
    tool["load"](network, weights, faces)
    with torch.no_grad():
        features, expected = network(faces), original(weights, colors)
    assert expected.std() > 0.01
    # At the picture's edge alone the colors' means are not one grey level.
    assert (features - expected).abs().mean() < 0.05 * expected.std()
    assert network.norm.running_var.max() != 1, "statistics were measured"
    assert torch.allclose(network.norm.weight.square(), network.norm.running_var + 1e-3)


def test_training_starts_from_the_file(
    tool: dict[str, Any], weights: Weights, tmp_path: Path
) -> None:
    network = MobileNet()
    tool["load"](network, weights, None)
    torch.save(network.state_dict(), tmp_path / "start.pt")
    model = build_classifier(MOBILENET, 0.2, 0.0, str(tmp_path / "start.pt"))
    assert torch.equal(model.backbone.stem.weight, network.stem.weight)
    ferplus, fer2013 = model.eval()(torch.rand(2, 1, 96, 96))
    assert (ferplus.shape, fer2013.shape) == ((2, 8), (2, 7))
    with pytest.raises(TrainingError, match=r"tools/convert_mobilenet_vggface2\.py"):
        build_classifier(MOBILENET, 0.2, 0.0)


def test_the_command_accepts_only_the_original_file(
    tool: dict[str, Any],
    weights: Weights,
    fer_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries = [{"name": n, "shape": v.shape, "dtype": "float32"} for n, v in weights.items()]
    (tmp_path / "faceres-deep.json").write_text(
        json.dumps({"weightsManifest": [{"weights": entries}]})
    )
    data = b"".join(value.astype("<f4").tobytes() for value in weights.values())
    (tmp_path / "faceres-deep.bin").write_bytes(data)
    out = tmp_path / "new" / "start.pt"
    arguments = ["convert", str(tmp_path), "--data", str(fer_folder), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    main: Callable[[], int] = tool["main"]
    with pytest.raises(SystemExit, match="SHA-256"):
        main()
    monkeypatch.setitem(main.__globals__, "SHA256", tool["hashlib"].sha256(data).hexdigest())
    assert main() == 0
    assert "largest difference" in capsys.readouterr().out
    stem = torch.load(out, weights_only=True)["stem.weight"]
    expected = weights["conv1/convolution/merged_input"].sum(axis=2) * 63.75
    np.testing.assert_allclose(stem[:, 0].permute(1, 2, 0), expected, rtol=1e-4)
