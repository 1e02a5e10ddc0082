"""A package with a detector and a classifier, installed beside mien and used by name."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import httpx2 as httpx
import pytest

import mien
from http_process import address_when_ready

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "examples" / "astronaut.jpg"
PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "mien-test-plugin"
    version = "1.0"

    [project.entry-points."mien.detectors"]
    corner = "mien_test_plugin:Corner"

    [project.entry-points."mien.classifiers"]
    gloomy = "mien_test_plugin:Gloomy"
    missing = "mien_test_plugin_of_old:Missing"
    renamed = "mien_test_plugin:Renamed"
    broken = "mien_test_plugin_broken"
"""
CODE = """
    import numpy as np

    from mien.classify.preprocess import CropSpec
    from mien.types import Box, Emotion, Face


    class Corner:
        def __init__(self, *, providers):
            pass

        def detect(self, image, *, min_face_size=None, min_score=None):
            return (Face(box=Box(left=1, top=2, right=31, bottom=42), score=0.75),)


    class Gloomy:
        labels = tuple(Emotion)
        crop = CropSpec(size_px=8)

        def __init__(self, *, providers):
            pass

        def predict(self, crops):
            rows = np.zeros((len(crops), len(self.labels)), dtype=np.float32)
            rows[:, self.labels.index(Emotion.SAD)] = 1
            return rows
"""
FOUND = {"bounding_box": [1, 2, 30, 40], "emotion": "sad", "confidence": 1.0}
OPTIONS = ("--model", "gloomy", "--detector", "corner")
VARIABLES = {"MIEN_MODEL": "gloomy", "MIEN_DETECTOR": "corner"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the package into a folder of its own; give the environment that finds it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(dedent(PROJECT))
    (source / "mien_test_plugin.py").write_text(dedent(CODE))
    (source / "mien_test_plugin_broken.py").write_text("raise OSError('no library')")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mien_itself = Path(mien.__file__).parents[1]
    paths = [str(target), str(mien_itself), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield address_when_ready(process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("options", "variables"), [(OPTIONS, {}), ((), VARIABLES)], ids=["options", "variables"]
)
def test_command_line_and_service_use_a_plugin(
    environment: dict[str, str], options: tuple[str, ...], variables: dict[str, str]
) -> None:
    chosen = environment | variables
    command = [sys.executable, "-m", "mien", "analyze", "--json", str(PHOTO), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=chosen)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["faces"] == [FOUND]
    with serving(chosen, *options) as address:
        response = httpx.post(f"{address}/emotion", content=PHOTO.read_bytes(), timeout=30)
        assert (response.status_code, response.json()) == (200, [FOUND])
        version = httpx.get(f"{address}/version", timeout=30).json()
        assert (version["detector"], version["model"]) == ("corner", "gloomy")


def test_python_api_uses_a_plugin(environment: dict[str, str]) -> None:
    code = f"import mien; print(mien.Recognizer(model='gloomy').analyze({str(PHOTO)!r}).to_json())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["faces"][0]["emotion"] == "sad"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("missing", "mien_test_plugin_of_old:Missing"),
        ("renamed", "mien_test_plugin:Renamed"),
        ("broken", "mien_test_plugin_broken"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named(
    environment: dict[str, str], name: str, where: str
) -> None:
    command = [sys.executable, "-m", "mien", "analyze", str(PHOTO), "--model", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert where in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("analyze", str(PHOTO)), ("serve", "--port", "0")])
def test_unregistered_name_is_an_error(
    environment: dict[str, str], command: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien", *command, "--model", "nobodys"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert done.returncode != 0
    assert "nobodys" in done.stderr
    assert "Traceback" not in done.stderr
