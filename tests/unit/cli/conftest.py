from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien import recognizer
from mien.cli import main
from samples import StubClassifier, StubDetector


@dataclass
class Done:
    status: int
    out: str
    err: str


Mien = Callable[..., Done]


@pytest.fixture
def detector() -> StubDetector:
    return StubDetector()


@pytest.fixture
def models_built(monkeypatch: pytest.MonkeyPatch, detector: StubDetector) -> list[Any]:
    """No weights: stubs analyze the photos; gives the names and files that were asked for."""
    received: list[Any] = []

    def build_detector(name: str, file: Path | None, **_: object) -> StubDetector:
        received.append((name, file))
        return detector

    def build_classifier(file: Path | None, **_: object) -> StubClassifier:
        received.append(file)
        return StubClassifier()

    monkeypatch.setattr(recognizer, "build_detector", build_detector)
    monkeypatch.setattr(recognizer, "build_classifier", build_classifier)
    return received


@pytest.fixture
def mien(capfd: pytest.CaptureFixture[str], models_built: list[Any]) -> Mien:
    def run(*arguments: object) -> Done:
        status = main([str(argument) for argument in arguments])
        return Done(status, *capfd.readouterr())

    return run


@pytest.fixture
def photo(tmp_path: Path, face_photo: bytes) -> Path:
    path = tmp_path / "party.jpg"
    path.write_bytes(face_photo)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A photo in which the stub finds no face."""
    path = tmp_path / "small.png"
    Image.new("RGB", (20, 10)).save(path)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jpg"
    path.write_text("no photo")
    return path
