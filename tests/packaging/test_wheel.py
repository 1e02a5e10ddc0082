"""The wheel in an empty environment without network."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from mien.artifacts import card_names, load_card

ROOT = Path(__file__).parents[2]
LIMIT_MB = 300
PROGRAMS, PACKAGES = (
    ("Scripts", "Lib/site-packages") if os.name == "nt" else ("bin", "lib/python*/site-packages")
)
# Any attempt to open a connection fails, whatever the platform offers to cut the network.
OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("the network is off")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("mien-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("empty") / "env"
    venv.create(folder, with_pip=True)
    python = folder / PROGRAMS / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip")
    (packages,) = folder.glob(PACKAGES)
    (packages / "sitecustomize.py").write_text(OFFLINE)
    return folder


def test_the_wheel_contains_every_model_with_card_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for model in card_names():
        files = [*load_card(model).files, "card.toml", "LICENSE"]
        assert {f"mien/artifacts/{model}/{file}" for file in files} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/THIRD_PARTY.md") for name in names)
    assert "mien/py.typed" in names


def test_the_description_has_no_relative_links(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    source = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))["Source"]
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", metadata.get_payload())
    assert len(links) > 10
    for image, target in links:
        assert re.match("https?://", target)
        if target.startswith(source):
            kind = "raw" if image else "blob"
            path = target.removeprefix(f"{source}/{kind}/v{metadata['Version']}/")
            assert (ROOT / path).exists(), target


def test_installed_wheel_analyzes_a_photo_offline(
    installed: Path, face_photo: bytes, tmp_path: Path
) -> None:
    photo = tmp_path / "face.jpg"
    photo.write_bytes(face_photo)
    python = installed / PROGRAMS / "python"
    mien = [python, "-m", "mien"]
    prefix = ["unshare", "--net", "--map-root-user"] if can_unshare() else []
    line = run(*prefix, *mien, "analyze", photo, "--jsonl", cwd=tmp_path)
    (face,) = json.loads(line)["faces"]
    assert face["emotion"] == "happy"
    run(*prefix, *mien, "models", "verify", cwd=tmp_path)


def test_the_environment_is_small_and_has_no_training_framework(installed: Path) -> None:
    (packages,) = installed.glob(PACKAGES)
    megabytes = sum(f.stat().st_size for f in packages.rglob("*") if f.is_file()) / 1e6
    assert megabytes <= LIMIT_MB
    found = {path.name.lower() for path in packages.iterdir()}
    assert not found & {"torch", "torchvision", "tensorflow", "keras", "cv2", "scipy", "pandas"}


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--net", "--map-root-user", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
