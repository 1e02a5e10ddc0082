"""Emotion models from elsewhere, served by their cards alone."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.errors import ModelContractError
from mien.recognizer import Recognizer
from mien.types import Emotion

# The order of AffectNet's eight labels.
AFFECTNET = [
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
]  # fmt: skip
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
COLOR = (250, 90, 30)


def model(
    folder: Path, shape: list[int | str], axes: list[int], weights: np.ndarray, last: str, card: str
) -> Path:
    """Write a graph that multiplies a crop's mean color with weights, and its card."""
    nodes = [
        helper.make_node("ReduceMean", ["crops", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["products"]),
        helper.make_node(last, ["products"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], weights.shape[1]])],
        [
            numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes"),
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "card.toml").write_text(
        'name = "mine"\ntask = "emotion"\ndescription = "colors"\nlicence = "MIT"\n'
        f'source = "a test"\n[files]\n"model.onnx" = "{digest}"\n[model]\n{card}'
    )
    return path


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def uniform(side: int) -> np.ndarray:
    return np.full((side, side, 3), COLOR, dtype=np.uint8)


def test_colors_of_224_pixels_with_imagenet_means_and_eight_labels(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(size=(3, 8))
    card = f"""
size_px = 224
channels = "rgb"
mean = {IMAGENET_MEAN}
std = {IMAGENET_STD}
alignment = "box"
side_of_height = 1.2
labels = {AFFECTNET}
"""
    path = model(tmp_path, ["n", 3, 224, 224], [2, 3], weights, "Identity", card)
    recognizer = Recognizer(model=path, crop=True, labels="eight")
    (face,) = recognizer.analyze(uniform(300)).faces
    expected = softmax((np.array(COLOR) / 255 - IMAGENET_MEAN) / IMAGENET_STD @ weights)
    renamed = {"happiness": "happy", "sadness": "sad", "anger": "angry"}
    for name, probability in zip(AFFECTNET, expected, strict=True):
        assert face.scores[Emotion(renamed.get(name, name))] == pytest.approx(probability, abs=1e-4)


def test_channels_last_blue_first_and_probabilities_one_crop_at_a_time(tmp_path: Path) -> None:
    weights = np.random.default_rng(4).normal(size=(3, 7))
    labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    card = f"""
size_px = 48
channels = "bgr"
layout = "nhwc"
output = "probabilities"
labels = {labels}
"""
    path = model(tmp_path, [1, 48, 48, 3], [1, 2], weights, "Softmax", card)
    recognizer = Recognizer(model=path, crop=True, labels="seven")
    (face,) = recognizer.analyze(uniform(48)).faces
    expected = softmax(np.array(COLOR[::-1]) / 255 @ weights)
    for name, probability in zip(labels, expected, strict=True):
        assert face.scores[Emotion(name)] == pytest.approx(probability, abs=1e-4)
    crops = recognizer.classifier.crop.crops
    assert crops.__self__.shape == (48, 48, 3)


def test_grey_values_up_to_255(tmp_path: Path) -> None:
    weights = np.array([[0.01, -0.01]])
    card = 'size_px = 64\nwhite = 255.0\nmean = [100.0]\nlabels = ["happy", "sad"]\n'
    path = model(tmp_path, ["n", 1, 64, 64], [2, 3], weights, "Identity", card)
    (face,) = Recognizer(model=path, crop=True).analyze(np.full((80, 80, 3), 200, np.uint8)).faces
    assert face.scores[Emotion.HAPPY] == pytest.approx(softmax(np.array([1.0, -1.0]))[0], abs=1e-4)
    assert face.scores[Emotion.NEUTRAL] == 0


def test_a_graph_of_another_size_is_refused(tmp_path: Path) -> None:
    path = model(
        tmp_path, ["n", 3, 64, 64], [2, 3], np.ones((3, 2)), "Identity",
        'size_px = 48\nchannels = "rgb"\nlabels = ["happy", "sad"]\n',
    )  # fmt: skip
    onnx.checker.check_model(onnx.load(path))
    with pytest.raises(ModelContractError) as caught:
        Recognizer(model=path)
    assert caught.value.code == "invalid_model"
    assert "(N, 3, 48, 48)" in caught.value.message
