"""A client that openapi-python-client makes of the document, used against a running service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from types import ModuleType

import pytest

from http_fakes import encoded_image, fake_app, running
from mien.settings import Settings
from videos import plain

pytest.importorskip("openapi_python_client")

CONFIG = "post_hooks: []\ncontent_type_overrides:\n  application/x-ndjson: text/plain\n"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Generate the client from the document, without a network."""
    folder = tmp_path_factory.mktemp("client")
    app, _ = fake_app()
    (folder / "openapi.json").write_text(json.dumps(app.openapi()))
    (folder / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(folder / "openapi.json"), "--config", str(folder / "config.yaml")]
    done = subprocess.run(
        [*command, "--output-path", str(folder / "mien_client"), "--fail-on-warning"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield import_module("mien_client")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    assert Settings().page
    with running(fake_app()[0]) as port:
        yield port


def test_the_generated_client_works(generated: ModuleType, port: int) -> None:
    emotion = import_module("mien_client.api.emotion.analyze")
    batch = import_module("mien_client.api.emotion.analyze_batch")
    video = import_module("mien_client.api.emotion.analyze_video")
    system = import_module("mien_client.api.system.version")
    models = import_module("mien_client.models")
    File = import_module("mien_client.types").File  # noqa: N806 - its own name
    with generated.Client(base_url=f"http://127.0.0.1:{port}") as client:

        def file(data: bytes) -> object:
            return File(payload=BytesIO(data), file_name="photo.jpg", mime_type="image/jpeg")

        form = models.AnalyzeFilesBody(image=file(encoded_image()))
        faces = emotion.sync(client=client, body=form, include=[models.Include.SCORES])
        assert [face.bounding_box for face in faces] == [[5, 5, 40, 40], [55, 5, 30, 30]]
        assert faces[0].emotion == models.Emotion.HAPPY
        assert faces[0].scores.additional_properties
        raw = emotion.sync_detailed(client=client, body=file(encoded_image()), max_faces=1)
        assert (raw.status_code, len(raw.parsed)) == (200, 1)
        refused = emotion.sync(client=client, body=file(b"x"))
        assert refused.code == "not_an_image"
        several = models.AnalyzeBatchBody(image=[file(encoded_image()), file(b"x")])
        first, second = batch.sync(client=client, body=several)
        assert len(first.faces) == 2
        assert second.error.code == "not_an_image"
        clip = models.AnalyzeVideoFilesBody(video=file(plain()))
        lines = video.sync_detailed(client=client, body=clip).content.splitlines()
        assert "summary" in json.loads(lines[-1])
        assert system.sync(client=client).name == "mien"
