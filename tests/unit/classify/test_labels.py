import numpy as np
import pytest

from mien import Emotion, LabelSet
from mien.classify.labels import narrow
from mien.errors import InvalidParameterError


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [("six", 6, "neutral"), ("seven", 7, "disgust"), ("eight", 8, "contempt")],
)
def test_sets_grow_at_the_end(name: str, count: int, last: str) -> None:
    emotions = LabelSet(name).emotions
    assert len(emotions) == count
    assert emotions[-1] == last
    assert emotions[:6] == LabelSet.SIX.emotions


def test_no_faces_narrow_to_no_rows() -> None:
    empty = np.empty((0, 8), dtype=np.float32)
    assert narrow(empty, LabelSet.EIGHT.emotions, LabelSet.SIX.emotions).shape == (0, 6)


def test_the_rest_is_renormalized_and_ordered() -> None:
    labels = (Emotion.DISGUST, Emotion.NEUTRAL, Emotion.HAPPY)
    rows = np.array([[0.5, 0.1, 0.4]], dtype=np.float32)
    narrowed = narrow(rows, labels, LabelSet.SIX.emotions)
    expected = [0.8, 0, 0, 0, 0, 0.2]
    np.testing.assert_allclose(narrowed[0], expected, atol=1e-6)


def test_a_row_without_mass_sums_to_one() -> None:
    rows = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    labels = (Emotion.CONTEMPT, Emotion.HAPPY, Emotion.NEUTRAL)
    narrowed = narrow(rows, labels, LabelSet.SIX.emotions)
    np.testing.assert_allclose(narrowed[0], [0.5, 0, 0, 0, 0, 0.5], atol=1e-6)


def test_a_model_without_any_of_the_labels_is_refused() -> None:
    rows = np.array([[0.6, 0.4]], dtype=np.float32)
    with pytest.raises(InvalidParameterError) as caught:
        narrow(rows, (Emotion.DISGUST, Emotion.CONTEMPT), LabelSet.SIX.emotions)
    assert "disgust, contempt" in caught.value.message
