"""The Dockerfile and its pins; `make container-check` builds and runs the image."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mien.runtime.providers import PROVIDERS
from mien.settings import Settings
from programs import needs

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RECIPE = (DEPLOY / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = ("requirements", "requirements-gpu", "requirements-openvino", "requirements-build")
BUILDS = {
    "requirements": PROVIDERS["cpu"],
    "requirements-gpu": PROVIDERS["cuda"],
    "requirements-openvino": PROVIDERS["openvino"],
}


def pinned(name: str) -> dict[str, str]:
    """Return what a list holds: names to versions."""
    text = (DEPLOY / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", text, re.MULTILINE))


def test_dockerfile_is_linked_from_the_root() -> None:
    assert (ROOT / "Dockerfile").resolve() == DEPLOY / "Dockerfile"


def test_container_runs_as_non_root_and_listens_on_all_interfaces() -> None:
    last = RECIPE.rpartition("\nFROM ")[2]
    assert int(re.findall(r"^USER (\d+):\d+$", last, re.MULTILINE)[-1]) > 0
    assert f"\nEXPOSE {Settings().port}\n" in last
    assert "\nHEALTHCHECK " in last
    assert last.rstrip().endswith('CMD ["mien", "serve", "--host", "0.0.0.0"]')


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.ray"])
def test_labels_match_the_package(file: str) -> None:
    text = (DEPLOY / file).read_text().replace("\\\n", " ")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', text))
    assert labels["title"].startswith(PROJECT["name"])
    assert labels["description"] == PROJECT["description"]
    assert labels["licenses"] == PROJECT["license"]
    assert labels["vendor"] == PROJECT["authors"][0]["name"]


def test_copied_files_are_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let = {line.removeprefix("!") for line in lines if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", RECIPE, re.MULTILINE):
        *sources, _ = line.split()
        assert set(sources) <= let


@pytest.mark.parametrize("name", PINS)
def test_requirements_are_pinned_with_hashes(name: str) -> None:
    text = (DEPLOY / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.M)
    for block in filter(None, blocks):
        assert re.match(r"[\w.-]+(\[[\w,]+\])?==[\w.]+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("name", BUILDS)
def test_pins_satisfy_the_package_requirements(name: str) -> None:
    """`make requirements` makes them anew when the package's own requirements change."""
    pins = pinned(name)
    extras = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *extras["redis"], *extras["otel"]):
        wanted = Requirement(text)
        if wanted.name == "onnxruntime":
            continue
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text


@pytest.mark.parametrize("name", BUILDS)
def test_exactly_one_onnx_runtime_build_is_installed(name: str) -> None:
    builds = {pin for pin in pinned(name) if pin.startswith("onnxruntime")}
    assert builds == {BUILDS[name].package}


def test_systemd_accepts_the_unit_and_rates_it_as_confined(tmp_path: Path) -> None:
    unit = (DEPLOY / "mien.service").read_text()
    stop_s = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop_s is not None
    assert int(stop_s[1]) > Settings().drain_s
    # What it starts is not installed here.
    file = tmp_path / "mien.service"
    file.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", unit, flags=re.MULTILINE))
    for check in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        command = [needs("systemd-analyze"), *check, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-500:] + done.stderr
        # A word that systemd does not know is only told.
        assert done.stderr == ""
