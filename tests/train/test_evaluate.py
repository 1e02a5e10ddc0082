"""Sources of the true labels, and the reports of an evaluation."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_session import FakeSession
from mien.artifacts import Card
from mien.classify.detail import fine_detail
from mien.classify.onnx import OnnxClassifier
from mien.classify.preprocess import Layout
from mien.runtime.ort import TensorSpec
from mien_train.calibrate import fit
from mien_train.data.fer2013 import FER2013_LABELS, FERPLUS_LABELS, FerDataset, load_fer2013
from mien_train.errors import TrainingError
from mien_train.evaluate import Scores, run_model, score
from mien_train.report.page import write_page
from mien_train.report.text import score_lines

CARD = Card(
    name="made-up <model>",
    task="emotion",
    description="answers by brightness",
    licence="none",
    source="a test",
    files={"model.onnx": "0" * 64},
    model={
        "size_px": 48,
        "labels": list(FERPLUS_LABELS),
        "temperature": 1.0,
        "second_labels": list(FER2013_LABELS),
        "second_share": 0.1,
    },
    measured={},
    folder=Path(),
)
Respond = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]


def brightness(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Lower half brighter on the left: happy; otherwise sad. Mirror images answer otherwise."""
    (crops,) = feeds.values()
    left, right = crops[:, 0, 24:, :24].mean((1, 2)), crops[:, 0, 24:, 24:].mean((1, 2))
    happy = (left > right).astype(np.float32) * 2
    ferplus = np.zeros((len(crops), 8), dtype=np.float32)
    ferplus[:, 0], ferplus[:, 1] = happy, 1
    fer2013 = np.zeros((len(crops), 7), dtype=np.float32)
    fer2013[:, 3], fer2013[:, 4] = happy, 1
    return [ferplus, fer2013]


def classifier(respond: Respond = brightness, outputs: int = 2) -> OnnxClassifier:
    session = FakeSession(
        lambda feeds: respond(feeds)[:outputs],
        inputs=[TensorSpec("crops", (None, 1, 48, 48))],
        outputs=[TensorSpec("ferplus", (None, 8)), TensorSpec("fer2013", (None, 7))][:outputs],
    )
    model = dict(CARD.model)
    if outputs == 1:
        del model["second_labels"], model["second_share"]
    return OnnxClassifier(session, replace(CARD, model=model))


@pytest.fixture(scope="module")
def faces(fer_folder: Path) -> FerDataset:
    return load_fer2013(fer_folder).split("PublicTest")


@pytest.fixture(scope="module")
def scores(faces: FerDataset) -> Scores:
    return score(classifier(), faces, "PublicTest")


def test_votes_are_the_truth_if_present(scores: Scores) -> None:
    assert scores.six_truth == "FER+ majority"
    assert scores.six.faces == 16
    assert scores.ferplus is not None
    assert scores.to_dict()["ferplus"]["faces"] == 16


def test_labels_are_the_truth_without_votes(faces: FerDataset) -> None:
    plain = replace(faces, votes=np.zeros_like(faces.votes))
    scores = score(classifier(), plain, "PublicTest")
    assert scores.six_truth == "FER2013 label"
    assert scores.ferplus is None
    assert scores.to_dict()["ferplus"] is None
    assert "FER+" not in "".join(score_lines(scores))
    assert fit(classifier(), plain).temperature > 0


def sure_when_blurred(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Right for faces with detail, and very sure of sadness for all others."""
    (crops,) = feeds.values()
    first, second = brightness(feeds)
    first[fine_detail(crops, Layout.NCHW) < 0.05] = [0, 9, 0, 0, 0, 0, 0, 0]
    return [first, second]


def test_the_fit_lowers_the_confidence_of_blurred_faces_if_it_is_too_high(
    faces: FerDataset,
) -> None:
    assert fit(classifier(sure_when_blurred, outputs=1), faces).blur_exponent > 0.3
    assert fit(classifier(outputs=1), faces).blur_exponent == 0


def test_a_model_with_one_output_has_no_fer2013_figures(faces: FerDataset) -> None:
    scores = score(classifier(outputs=1), faces, "PublicTest")
    assert scores.fer2013 is None
    assert "FER2013" not in "".join(score_lines(scores))


def test_outputs_that_are_probabilities_already(faces: FerDataset) -> None:
    def certain(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return [np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in brightness(feeds)]

    model = classifier(certain).recalibrated({"output": "probabilities"})
    theirs, ours = score(model, faces, "PublicTest"), score(classifier(), faces, "PublicTest")
    for one, other in ((theirs.ferplus, ours.ferplus), (theirs.fer2013, ours.fer2013)):
        assert one is not None
        assert other is not None
        assert one.calibration_error == pytest.approx(other.calibration_error, abs=1e-5)


@pytest.mark.parametrize("judge", [score, fit])
def test_no_face_with_a_label_of_the_six_is_an_error(faces: FerDataset, judge: Any) -> None:
    disgusted = replace(
        faces,
        votes=np.zeros_like(faces.votes),
        fer2013=np.full(len(faces), FER2013_LABELS.index("disgust")),
    )
    with pytest.raises(TrainingError, match="no face's FER2013 label is one of happy"):
        judge(classifier(), disgusted, *(["PublicTest"] if judge is score else []))


def test_single_and_flipped_views_are_distinguished(faces: FerDataset, tmp_path: Path) -> None:
    seen = set()
    for flip, name in ((False, "single"), (True, "flip-averaged")):
        scores = score(classifier(), faces, "PublicTest", flip=flip)
        assert scores.to_dict()["view"] == name
        assert next(score_lines(scores)) == f"PublicTest, {name} view"
        page = write_page(scores, CARD, tmp_path / name, on=date(2026, 1, 2)).read_text()
        assert f"<strong>{name} view</strong>" in page
        seen.add(scores.six.log_likelihood)
    assert len(seen) == 2


def test_mirror_images_of_crops_with_channels_last(faces: FerDataset) -> None:
    """The left half decides, so a face and its mirror image differ."""

    def left_side(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        (crops,) = feeds.values()
        logits = np.zeros((len(crops), 8), dtype=np.float32)
        logits[:, 0] = crops[:, :, :24].mean((1, 2, 3))
        return [logits]

    session = FakeSession(
        left_side,
        inputs=[TensorSpec("crops", (None, 48, 48, 3))],
        outputs=[TensorSpec("ferplus", (None, 8))],
    )
    table = {"size_px": 48, "channels": "rgb", "layout": "nhwc", "labels": list(FERPLUS_LABELS)}
    nhwc = OnnxClassifier(session, replace(CARD, model=table))
    means = run_model(nhwc, faces, flip=True).ferplus[:, 0]
    whole = faces.faces.mean((1, 2)) / 255
    np.testing.assert_allclose(means, whole, atol=1e-3)


def test_the_text_has_every_metric(scores: Scores) -> None:
    text = "\n".join(score_lines(scores))
    assert "predictions of mien, six labels, against the FER+ majority: 16 faces" in text
    assert f"accuracy {scores.six.accuracy:.4f} (" in text
    assert f"calibration error {scores.six.calibration_error:.4f}" in text
    mistake = scores.six.top_confusions()[0]
    assert f"{mistake.truth} classified as {mistake.predicted}: {mistake.faces} faces" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("happy ")]
    assert [int(count) for count in rows[1][1:]] == scores.six.confusion[0].tolist()


class Elements(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_self_contained(scores: Scores, tmp_path: Path) -> None:
    path = write_page(scores, CARD, tmp_path / "new" / "report", on=date(2026, 1, 2))
    text = path.read_text()
    assert list(path.parent.iterdir()) == [path]
    page = Elements()
    page.feed(text)
    assert page.open == []
    tags = [tag for tag, _ in page.found]
    assert not {"script", "img", "link", "iframe", "object"} & set(tags)
    assert not any({"src", "href", "srcset"} & set(attributes) for _, attributes in page.found)
    assert not re.search(r"url\(|@import|https?:", text)
    assert tags.count("svg") == 9, "three plots for each of three outputs"
    assert "made-up &lt;model&gt;" in text, "a name is never markup"
    assert "<model>" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "2026-01-02" in text


def test_the_page_shows_the_counts(scores: Scores, tmp_path: Path) -> None:
    text = write_page(scores, CARD, tmp_path, on=date(2026, 1, 2)).read_text()
    first = re.search(r"<tbody>(.*?)</tbody>", text, re.DOTALL)
    assert first
    counts = [int(count) for count in re.findall(r">(\d+)</td>", first[1])]
    assert counts == scores.six.confusion.ravel().tolist()
    assert json.dumps(scores.to_dict())


def test_a_page_of_a_perfect_model(faces: FerDataset, tmp_path: Path) -> None:
    """Empty bins, no mistakes, and no answer below full confidence."""

    def sure(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        (crops,) = feeds.values()
        rows = np.zeros((len(crops), 15), dtype=np.float32)
        rows[:, 0] = rows[:, 8 + 3] = 60.0
        return [rows[:, :8], rows[:, 8:]]

    happy = faces.rows(faces.fer2013 == FER2013_LABELS.index("happy"))
    scores = score(classifier(sure), happy, "PublicTest")
    assert scores.six.accuracy == 1
    text = write_page(scores, CARD, tmp_path, on=date(2026, 1, 2)).read_text()
    assert "<li>" not in text
    assert "nan" not in text
