"""Each program in examples/ runs, with the real models, as its users would run it."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
import yaml
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from starlette.testclient import TestClient
from tools.code_blocks import ROOT

import mien
from http_process import service
from mien.server.keys import digest_of
from programs import free_port, needs, omit

EXAMPLES = ROOT / "examples"
SPACE = ROOT / "deploy" / "space"
PHOTO = EXAMPLES / "astronaut.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a photo and a file that is not an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTO, folder / "astronaut.jpg")
    (folder / "broken.jpg").write_text("not an image")
    return folder


def module(name: str) -> ModuleType:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def run(*command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


@contextmanager
def static_files(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_example_is_tested_and_described() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix not in (".md", "") and not path.name.startswith("."):
            assert path.name in readme
            assert path.name in text or path.stem in text


def test_folder(photos: Path) -> None:
    done = run(sys.executable, str(EXAMPLES / "folder.py"), cwd=photos.parent)
    assert done.returncode == 0, done.stderr
    assert "happy" in done.stdout
    header, *rows = (photos.parent / "faces.csv").read_text().splitlines()
    assert header.startswith("path,width,height")
    assert len(rows) == 2
    assert "not_an_image" in rows[1]
    (copy,) = (photos.parent / "copies").iterdir()
    with Image.open(copy) as drawn:
        assert (copy.name, drawn.size) == ("astronaut.png", (512, 512))


def test_fastapi_app() -> None:
    with TestClient(module("fastapi_app").app) as client:
        faces = client.post("/faces", files={"photo": PHOTO.read_bytes()})
        mood = client.post("/mood", files={"photo": PHOTO.read_bytes()})
        refused = client.post("/mood", files={"photo": b"not an image"})
        assert client.get("/openapi.json").status_code == 200
    assert faces.json() == mien.analyze(PHOTO).face_records()
    assert mood.json() == {"happy": 1}
    assert refused.status_code == 400
    assert refused.json()["detail"]["code"] == "not_an_image"


def test_gradio_app_without_its_page() -> None:
    app = module("gradio_app")
    with Image.open(PHOTO) as photo:
        drawn, rows = app.analyze(photo)
    assert drawn.size == (512, 512)
    assert [emotion for emotion, _ in rows] == ["happy"]
    assert app.analyze(None) == (None, [])


def test_gradio_app(tmp_path: Path) -> None:
    # Of its fifty packages, none is needed elsewhere.
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path, "gradio>=5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if installed.returncode != 0:
        omit(f"gradio cannot be installed: {installed.stderr[-200:]}")
    code = "import gradio_app, json; print(json.dumps(gradio_app.page().get_config_file()))"
    search = [EXAMPLES, tmp_path, ROOT / "src"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, search)),
            "GRADIO_ANALYTICS_ENABLED": "False",
        },
    )
    assert done.returncode == 0, done.stderr
    components = json.loads(done.stdout.splitlines()[-1])["components"]
    names = {each["props"].get("label") for each in components}
    assert {"Photo", "Faces", "Emotions"} <= names


def test_the_space_refers_to_existing_files() -> None:
    _, header, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    settings = yaml.safe_load(header)
    assert settings["sdk"] == "gradio"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert settings["license"] == project["license"].lower()
    assert len(settings["short_description"]) <= 60
    code = (SPACE / settings["app_file"]).read_text(encoding="utf-8")
    assert "from gradio_app import page" in code
    assert (EXAMPLES / "gradio_app.py").is_file()
    assert "mien" in (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_notebook(photos: Path) -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "stored without outputs"
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names["PHOTOS"] = photos
    assert "<table>" in names["result"]._repr_html_()
    assert list(names["faces"]["error_code"].dropna()) == ["not_an_image"]
    assert names["counts"].to_dict() == {"happy": 1}


def test_client_in_node(photos: Path) -> None:
    node = needs("node")
    key = "mien_a-key-for-this-test"
    with service(MIEN_API_KEYS=digest_of(key)) as address:
        client = [node, str(EXAMPLES / "client.mjs")]
        good = run(*client, "astronaut.jpg", cwd=photos, SERVICE=address, API_KEY=key)
        files = ("broken.jpg", "astronaut.jpg")
        bad = run(*client, *files, cwd=photos, SERVICE=address, API_KEY=key)
    assert (good.returncode, good.stderr) == (0, "")
    path, emotion, confidence, *box = good.stdout.split()
    assert (path, emotion, len(box)) == ("astronaut.jpg", "happy", 4)
    assert 0 <= float(confidence) <= 1
    assert bad.returncode == 1
    assert "(not_an_image)" in bad.stderr
    assert "happy" in bad.stdout, "an error does not stop the others"
    unreachable = run(*client, *files, cwd=photos, SERVICE=f"http://127.0.0.1:{free_port()}")
    assert unreachable.returncode == 1
    assert [line.partition(":")[0] for line in unreachable.stderr.splitlines()] == list(files)


@pytest.mark.parametrize("allowed", [True, False])
def test_browser(allowed: bool) -> None:
    chromium = needs("chromium")
    with static_files(EXAMPLES) as origin:
        other = "https://example.org"
        with (
            service(MIEN_CORS_ORIGINS=origin if allowed else other) as address,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"{origin}/browser.html?service={address}")
            page.get_by_label("Photo").set_input_files(PHOTO)
            shown = "happy 99 %" if allowed else "Failed to fetch"
            expect(page.get_by_role("status")).to_have_text(shown)
            shots = ROOT / "build" / "screenshots"
            shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=shots / f"example-browser-{allowed}.png")
            browser.close()
