"""Files with any content are read or raise a MienError."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mien.artifacts import card_beside
from mien.batch.source import images_of
from mien.cores import available_cores
from mien.errors import ArtifactError, InvalidParameterError
from mien.runtime.freesize import with_free_size

# As TOML.
VALUES = st.sampled_from(['"x"', "3", "[]", "{}", '{"model.onnx" = 3}', '{"model.onnx" = "00"}'])
KEYS = st.sampled_from(["name", "task", "description", "licence", "source", "files", "model", "x"])


@given(
    st.dictionaries(KEYS, VALUES, min_size=5).map(
        lambda table: "\n".join(f"{key} = {value}" for key, value in table.items()).encode()
    )
    | st.binary(max_size=100)
)
@example(b"x = " + b"[" * 2000)
def test_cards(text: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "card.toml").write_bytes(text)
        model = Path(folder) / "model.onnx"
        model.write_bytes(b"no model")
        with pytest.raises(ArtifactError):
            card_beside(model).read("model.onnx")


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".parquet"])
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
@example(data=b"path,path\na,b\n,\nc\n")
@example(data=b"path\n" + b"x" * 200_000)
@example(data=b'path\n"a')
@example(data=b"PAR1" + bytes(50) + b"PAR1")
def test_manifests(suffix: str, data: bytes) -> None:
    with TemporaryDirectory() as folder, contextlib.suppress(InvalidParameterError):
        manifest = Path(folder) / f"list{suffix}"
        manifest.write_bytes(data)
        for path in images_of(str(manifest)):
            assert isinstance(path, str)


@given(st.binary(max_size=200), st.binary(max_size=50))
@example(b"0::/\xff\n", b"100000 100000")
@example(b"0::/../../..\n", b"9" * 5000 + b" 1")
def test_control_groups(groups: bytes, quota: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "groups").write_bytes(groups)
        (Path(folder) / "cpu.max").write_bytes(quota)
        assert available_cores(Path(folder) / "groups", Path(folder)) >= 1


@given(st.binary(max_size=300))
def test_graphs(data: bytes) -> None:
    with contextlib.suppress(ArtifactError):
        assert isinstance(with_free_size(data), bytes)
