"""VGG19: torchvision's layer numbers, and weights from a file or an address."""

from pathlib import Path

import pytest
import torch

from mien_train.errors import TrainingError
from mien_train.models import build_classifier
from mien_train.models.vgg import VGG, Vgg19
from mien_train.recipe import load_recipe

# Of torchvision's vgg19 and vgg19_bn: some names in their state dicts, with shapes.
KNOWN = {
    "vgg19": {"features.0.weight": (64, 3, 3, 3), "features.34.bias": (512,)},
    "vgg19-bn": {"features.1.running_var": (64,), "features.49.weight": (512, 512, 3, 3)},
}


def state(variant: str) -> dict[str, torch.Tensor]:
    """Made-up weights under torchvision's names, its classifier too."""
    made = {f"features.{n}": v for n, v in Vgg19(variant).layers.state_dict().items()}
    return {**made, "classifier.0.weight": torch.zeros(1)}


@pytest.mark.parametrize("variant", list(VGG))
def test_layers_are_numbered_as_in_torchvision(variant: str) -> None:
    made = state(variant)
    for name, shape in KNOWN[variant].items():
        assert tuple(made[name].shape) == shape
    assert sum(name.endswith("weight") and made[name].ndim == 4 for name in made) == 16


def test_weights_from_a_file(tmp_path: Path) -> None:
    made = state("vgg19")
    torch.save(made, tmp_path / "vgg19.pth")
    model = build_classifier("vgg19", 0.3, 0.0, str(tmp_path / "vgg19.pth"))
    torch.testing.assert_close(model.backbone.layers[0].weight, made["features.0.weight"])
    ferplus, fer2013 = model.eval()(torch.rand(2, 1, 48, 48))
    assert (ferplus.shape, fer2013.shape) == ((2, 8), (2, 7))


def test_weights_from_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    received = []

    def load(address: str, **options: object) -> dict[str, torch.Tensor]:
        received.append((address, options["check_hash"]))
        return state("vgg19-bn")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    build_classifier("vgg19-bn", 0.3, 0.0)
    assert received == [(VGG["vgg19-bn"], True)]


def test_random_weights_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    recipe = load_recipe("vgg19-scratch")
    torch.manual_seed(recipe.seed)
    first = build_classifier(recipe.backbone, 0.0, 0.0, recipe.weights)
    second = build_classifier(recipe.backbone, 0.0, 0.0, recipe.weights)
    weights = [model.backbone.layers[0].weight for model in (first, second)]
    assert not torch.equal(*weights)


def test_missing_weights_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(TrainingError, match="set weights in the recipe"):
        build_classifier("vgg19", 0.3, 0.0)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(TrainingError, match=r"text\.pth"):
        build_classifier("vgg19", 0.3, 0.0, str(tmp_path / "text.pth"))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(TrainingError, match="not the weights of vgg19"):
        build_classifier("vgg19", 0.3, 0.0, str(tmp_path / "other.pth"))
    with pytest.raises(TrainingError, match="vgg19-bn"):
        build_classifier("vgg16", 0.3, 0.0)
