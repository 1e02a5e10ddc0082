import numpy as np
import pytest

from mien.artifacts import load_card
from mien.errors import ArtifactError
from mien.runtime.ort import OrtSession


@pytest.mark.parametrize("model", [b"", b"not a graph", b"\x08\x07" * 100])
def test_foreign_bytes_are_refused_without_the_librarys_words(model: bytes) -> None:
    with pytest.raises(ArtifactError, match="not a graph that ONNX Runtime can run"):
        OrtSession(model)


def test_a_graph_tells_its_inputs_and_outputs() -> None:
    session = OrtSession(load_card("emotion-lite0").read("model.onnx"))
    assert [spec.shape for spec in session.inputs] == [(None, 1, 48, 48)]
    assert [spec.name for spec in session.outputs] == ["ferplus", "fer2013"]
    outputs = session.run({"crops": np.zeros((2, 1, 48, 48), dtype=np.float32)})
    assert [output.shape for output in outputs] == [(2, 8), (2, 7)]
