from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from mien import recognizer
from mien.cli import main
from mien.config import Settings
from samples import StubPipeline


@dataclass
class Done:
    status: int
    out: str
    err: str


Mien = Callable[..., Done]


@pytest.fixture
def settings_seen(monkeypatch: pytest.MonkeyPatch, pipeline: StubPipeline) -> list[Settings]:
    """No weights: photos go to the stub pipeline; the settings that it was built with."""
    seen: list[Settings] = []
    monkeypatch.setattr(recognizer, "build_pipeline", lambda s: seen.append(s) or pipeline)
    return seen


@pytest.fixture
def mien(capfd: pytest.CaptureFixture[str], settings_seen: list[Settings]) -> Mien:
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
