from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from mien import plugins
from mien.classify.registry import build_classifier
from mien.detect.registry import build_detector
from mien.errors import InvalidParameterError


class NoFaces:
    """A plug-in, as another package would bring it."""

    def __init__(self, *, providers: object, model_file: Path | None = None) -> None:
        self.given = (providers, model_file)

    def detect(self, *_: object, **__: object) -> tuple[()]:
        return ()


class NoFile(NoFaces):
    """A plug-in whose model can't be replaced."""

    def __init__(self, *, providers: object) -> None:
        super().__init__(providers=providers)


class NoKeywords:
    """A plug-in that takes no providers."""


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = EntryPoints(
        EntryPoint(name, f"{__name__}:{kind.__name__}", group)
        for name, kind in (("no-faces", NoFaces), ("no-file", NoFile), ("no-keywords", NoKeywords))
        for group in (plugins.DETECTOR_GROUP, plugins.CLASSIFIER_GROUP)
    )
    monkeypatch.setattr(metadata, "entry_points", entries.select)


def test_an_unknown_detector_lists_known_ones(plugin: None) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        build_detector("no-such-detector")
    for name in ("no-such-detector", "yunet", "centerface", "mtcnn", "no-faces"):
        assert name in caught.value.message


@pytest.mark.parametrize("name", ["mtcnn", "centerface", "no-file"])
def test_a_model_file_for_a_detector_without_one_is_refused(name: str, plugin: None) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        build_detector(name, Path("other.onnx"))
    assert name in caught.value.message


def test_a_plugin_is_built_by_its_name(plugin: None) -> None:
    assert build_detector("no-faces").given[1] is None
    assert build_detector("no-faces", Path("file.onnx")).given[1] == Path("file.onnx")


@pytest.mark.parametrize("build", [build_detector, build_classifier])
def test_a_plugin_that_cannot_be_built_is_named(
    build: Callable[[str], object], plugin: None
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        build("no-keywords")
    assert "no-keywords" in caught.value.message
