from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data

from fake_session import FakeSession
from mien.artifacts import Card, load_card
from mien.classify.crop import square_of_image
from mien.classify.onnx import DEFAULT_MODEL, MAX_BATCH, OnnxClassifier, load_classifier
from mien.classify.registry import build_classifier
from mien.errors import ArtifactError, ModelContractError
from mien.runtime.ort import TensorSpec
from mien.types import RgbImage

LABELS = ["happy", "sad", "neutral"]


def card(**model: Any) -> Card:
    table = {"size_px": 48, "labels": LABELS, "temperature": 2.0, **model}
    return Card(
        name="made-up",
        task="emotion",
        description="",
        licence="",
        source="",
        files={},
        model=table,
        measured={},
        folder=Path(),
    )


def session(columns: int = 3, shape: tuple[int | None, ...] = (None, 1, 48, 48)) -> FakeSession:
    def respond(feeds: Any) -> list[Any]:
        crops = feeds["crops"]
        logits = np.zeros((len(crops), columns), dtype=np.float32)
        logits[:, 0] = crops.mean(axis=(1, 2, 3)) * 10
        return [logits]

    return FakeSession(respond, inputs=[TensorSpec("crops", shape)])


def test_no_crops_give_no_rows() -> None:
    classifier = OnnxClassifier(session(), card())
    assert classifier.predict(np.empty((0, 1, 48, 48), dtype=np.float32)).shape == (0, 3)


def test_temperature_softens() -> None:
    crops = np.full((1, 1, 48, 48), 0.5, dtype=np.float32)
    cold = OnnxClassifier(session(), card(temperature=1.0)).predict(crops)
    warm = OnnxClassifier(session(), card(temperature=5.0)).predict(crops)
    assert cold[0, 0] == pytest.approx(np.exp(5) / (np.exp(5) + 2), rel=1e-5)
    assert warm[0, 0] == pytest.approx(np.exp(1) / (np.exp(1) + 2), rel=1e-5)


def test_the_temperature_is_higher_for_blurred_crops() -> None:
    rows = np.linspace(0, 1, 48, dtype=np.float32)
    smooth = np.tile(rows**2, (1, 1, 48, 1))
    noisy = np.random.default_rng(0).random((1, 1, 48, 48), dtype=np.float32)
    crops = np.concatenate([smooth, noisy])
    plain = OnnxClassifier(session(), card())
    few, many = plain.fine_detail(crops)
    blur = {"blur_threshold": float(16 * few), "blur_exponent": 0.5}
    assert few * 16 < many
    got = OnnxClassifier(session(), card(**blur)).predict(crops)
    # Four times as high: the root of 16.
    softer = OnnxClassifier(session(), card(temperature=8.0)).predict(crops)
    np.testing.assert_allclose(got[0], softer[0], rtol=1e-5)
    np.testing.assert_array_equal(got[1], plain.predict(crops)[1])


def test_blurred_faces_get_less_confidence_and_sharp_ones_keep_theirs() -> None:
    face = Image.fromarray(data.astronaut()[60:190, 160:290])
    confidence = []
    for blur_px in (0, 8, 12):
        blurred = RgbImage(np.asarray(face.filter(ImageFilter.GaussianBlur(blur_px))))
        classifier = load_classifier()
        crops = classifier.crop.crops(blurred, [square_of_image(130, 130)])
        constant = classifier.recalibrated({"blur_exponent": 0.0})
        confidence.append((classifier.predict(crops).max(), constant.predict(crops).max()))
    (sharp, same), (soft, too_sure), (softer, far_too_sure) = confidence
    assert sharp == same > 0.9
    assert too_sure - soft > 0.1
    assert far_too_sure - softer > 0.1


def test_many_crops_are_split_into_batches_in_order() -> None:
    faces = 2 * MAX_BATCH + 3
    crops = np.linspace(0, 1, faces, dtype=np.float32).reshape(-1, 1, 1, 1)
    rows = OnnxClassifier(session(), card()).predict(
        np.broadcast_to(crops, (faces, 1, 48, 48)).copy()
    )
    assert rows.shape == (faces, 3)
    assert (np.diff(rows[:, 0]) > 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", []),
        ("labels", "happy"),
        ("labels", ["happy", "happiness"]),
        ("labels", ["happy", "smug"]),
        ("labels", [["happy"], "sad"]),
        ("emotions", ["happy"]),
        ("temperature", 0),
        ("temperature", "hot"),
        ("temperature", float("inf")),
        ("mean", float("nan")),
        ("blur_threshold", 0),
        ("blur_exponent", -0.5),
        ("size_px", -1),
        ("size_px", 48.5),
        ("size_px", None),
        ("channels", "cmyk"),
        ("layout", "chwn"),
        ("white", 0),
        ("mean", [0.5, 0.5]),
        ("mean", ["a"]),
        ("std", [0.0]),
        ("std", [1.0, 1.0, 1.0]),
        ("alignment", "nose"),
        ("alignment", [[0.3, 0.4]] * 4),
        ("alignment", [[0.3, 0.4, 0.5]] * 5),
        ("alignment", [[0.3, 0.4]] * 5),
        ("side_of_height", -1),
        ("output", "scores"),
        ("input_size_px", 48),
    ],
)
def test_a_wrong_card_is_refused_and_its_key_named(key: str, value: Any) -> None:
    with pytest.raises(ArtifactError) as caught:
        OnnxClassifier(session(), card(**{key: value}))
    assert "made-up/card.toml" in caught.value.message
    assert f"model.{key} " in caught.value.message
    assert (value is None) is ("found None" in caught.value.message)


@pytest.mark.parametrize(
    ("removed", "added", "key"),
    [
        ("size_px", {}, "size_px"),
        ("labels", {}, "labels"),
        (None, {"second_share": 0.5}, "second_labels"),
    ],
)
def test_a_missing_key_is_called_missing(
    removed: str | None, added: dict[str, Any], key: str
) -> None:
    whole = card(**added)
    model = {name: value for name, value in whole.model.items() if name != removed}
    with pytest.raises(ArtifactError) as caught:
        OnnxClassifier(session(), replace(whole, model=model))
    assert f"model.{key} is missing" in caught.value.message
    assert "None" not in caught.value.message


def test_a_wrong_number_of_values_says_how_many_are_needed() -> None:
    with pytest.raises(ArtifactError) as caught:
        OnnxClassifier(session(), card(channels="rgb", mean=[0.1, 0.2]))
    assert caught.value.message.endswith("must have 3 values for channels = rgb, found 2")


def test_label_names_of_other_data_sets_are_accepted() -> None:
    model = card(labels=["anger", "Happiness", "calm"], emotions={"calm": "neutral"})
    assert OnnxClassifier(session(), model).labels == ("angry", "happy", "neutral")


@pytest.mark.parametrize(
    ("columns", "shape"),
    [(7, (None, 1, 48, 48)), (3, (None, 3, 48, 48)), (3, (2, 1, 48, 48)), (3, (None, 1, 64, 64))],
)
def test_an_incompatible_graph_is_refused_at_start(
    columns: int, shape: tuple[int | None, ...]
) -> None:
    with pytest.raises(ModelContractError):
        OnnxClassifier(session(columns, shape), card())


def test_a_graph_that_does_not_give_numbers_is_refused_at_start() -> None:
    def respond(feeds: Any) -> list[Any]:
        return [np.full((len(feeds["crops"]), 3), np.nan, dtype=np.float32)]

    graph = FakeSession(respond, inputs=[TensorSpec("crops", (None, 1, 48, 48))])
    with pytest.raises(ModelContractError):
        OnnxClassifier(graph, card())


def test_the_shipped_models_predictions_match_its_card() -> None:
    classifier = load_classifier()
    rows = classifier.predict(np.full((3, 1, 48, 48), 0.5, dtype=np.float32))
    assert rows.shape == (3, 8)
    assert set(load_card(DEFAULT_MODEL).model["labels"]) == {
        label.value for label in classifier.labels
    }
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def test_the_shipped_models_card_has_metrics() -> None:
    measured = load_card(DEFAULT_MODEL).measured["publictest"]
    assert measured["date"]
    assert "mien-train evaluate" in measured["command"]
    assert measured["ferplus"]["accuracy"] >= 0.80
    assert measured["fer2013"]["accuracy"] >= 0.62


def test_a_custom_model_needs_a_card(tmp_path: Path) -> None:
    shipped = load_card(DEFAULT_MODEL)
    model = tmp_path / "model.onnx"
    model.write_bytes(shipped.read("model.onnx"))
    with pytest.raises(ArtifactError, match=r"card\.toml"):
        load_classifier(model)
    (tmp_path / "card.toml").write_bytes((shipped.folder / "card.toml").read_bytes())
    assert load_classifier(model).labels == load_classifier().labels
    model.write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        load_classifier(model)


def two_headed(**model: Any) -> OnnxClassifier:
    """The first output knows happy, sad, neutral; the second sad and happy, in that order."""

    def respond(feeds: Any) -> list[Any]:
        faces = len(feeds["crops"])
        first = np.log(np.array([[0.5, 0.3, 0.2]], dtype=np.float32))
        second = np.log(np.array([[0.9, 0.1]], dtype=np.float32))
        return [np.repeat(first, faces, axis=0), np.repeat(second, faces, axis=0)]

    graph = FakeSession(respond, inputs=[TensorSpec("crops", (None, 1, 48, 48))])
    return OnnxClassifier(graph, card(temperature=1.0, **model))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, [0.5, 0.3, 0.2]),
        # What the second does not know keeps its 0.2; the others share 0.8 as it says.
        (1.0, [0.08, 0.72, 0.2]),
        (0.5, [0.2, 0.4648, 0.2]),
    ],
)
def test_a_second_output_is_weighted_by_its_share(share: float, expected: list[float]) -> None:
    classifier = two_headed(second_labels=["sad", "happy"], second_share=share)
    (row,) = classifier.predict(np.zeros((1, 1, 48, 48), dtype=np.float32))
    np.testing.assert_allclose(row, np.array(expected) / np.sum(expected), atol=1e-4)


@pytest.mark.parametrize("labels", [["sad"], ["sad", "happy", "neutral"]])
def test_a_second_output_of_wrong_width_is_refused_at_start(labels: list[str]) -> None:
    with pytest.raises(ModelContractError):
        two_headed(second_labels=labels, second_share=0.5)


def test_a_graph_without_the_second_output_of_its_card_is_refused_at_start() -> None:
    with pytest.raises(ModelContractError):
        OnnxClassifier(session(), card(second_labels=["sad", "happy"], second_share=0.5))


@pytest.mark.parametrize(
    "model",
    [
        {"second_labels": ["sad"], "second_share": 1.5},
        {"second_labels": ["sad"], "second_share": -0.1},
        {"second_labels": ["smug"], "second_share": 0.5},
    ],
)
def test_a_wrong_second_output_is_refused(model: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError) as caught:
        two_headed(**model)
    assert "second_" in caught.value.message


def test_the_packaged_model_has_a_name() -> None:
    assert build_classifier(DEFAULT_MODEL).labels == build_classifier().labels


def test_a_folder_and_an_unknown_name_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="folder"):
        build_classifier(tmp_path)
    with pytest.raises(ArtifactError, match="no-such-model"):
        build_classifier("no-such-model")
