"""Common properties of all responses, and the secondary endpoints."""

import json
import logging
import re
import shlex
from dataclasses import replace
from html import unescape
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi import Request, Response
from starlette.testclient import TestClient

from http_fakes import FakeClassifier, FakeDetector, encoded_image, fake_app, logged, part
from mien._version import __version__
from mien.artifacts import load_card
from mien.errors import ArtifactError, NotAnImageError, UnreadableFileError
from mien.options import option_fields
from mien.recognizer import Recognizer
from mien.server.app import create_app
from mien.server.context import RequestContext, Stage
from mien.server.errors import PROBLEMS, problem_response
from mien.settings import Settings

PATHS = ["/livez", "/readyz", "/version", "/openapi.json", "/docs", "/"]


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_every_response_has_the_headers(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path, follow_redirects=False)
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.headers["x-content-type-options"] == "nosniff"
    timing = response.headers["server-timing"]
    assert re.fullmatch(
        r"decode;dur=[\d.]+, detect;dur=[\d.]+, classify;dur=[\d.]+, queue;dur=[\d.]+", timing
    )
    if method == "HEAD":
        assert response.content == b""
    if response.status_code >= 400 and method != "HEAD":
        assert response.headers["content-type"] == "application/problem+json"
        assert set(response.json()) == {"type", "title", "status", "detail", "code", "instance"}
        assert response.json()["instance"].endswith(response.headers["x-request-id"])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a", True),
        ("A-z_0.9" + "x" * 57, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("é", False),
        ('a"', False),
    ],
)
def test_request_ids(client: TestClient, given: str, kept: bool) -> None:
    response = client.get("/livez", headers={"X-Request-ID": given.encode()})
    assert (response.headers["x-request-id"] == given) is kept


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(client: TestClient, path: str) -> None:
    head, get = (client.request(m, path, follow_redirects=False) for m in ("HEAD", "GET"))
    assert head.status_code == get.status_code < 400
    assert head.headers.get("content-length") == get.headers.get("content-length")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/emotion", "POST"), ("HEAD", "/emotion/batch", "POST"), ("POST", "/livez", "GET")],
)
def test_wrong_method(client: TestClient, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert response.json()["code"] == "method_not_allowed"
        assert allow in response.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/no-such-path", "/emotion//", "/%2e%2e/etc/passwd", "/%00%ff%0a", "/docs/x"]
)
def test_unknown_path(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/livez/", "/docs/", "/openapi.json/"])
def test_a_trailing_slash_makes_no_difference(client: TestClient, path: str) -> None:
    assert client.get(path).text == client.get(path.rstrip("/")).text
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", sorted({*PATHS} - {"/openapi.json"}))
def test_unknown_parameters_are_refused(client: TestClient, path: str) -> None:
    response = client.get(f"{path}?what=1", follow_redirects=False)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert "'what'" in response.json()["detail"]


def test_timings_are_in_the_response(
    client: TestClient, photo: bytes, detector: FakeDetector
) -> None:
    detector.wait_s = 0.02
    timing = client.post("/emotion", files=[part(photo)]).headers["server-timing"]
    assert float(re.findall(r"detect;dur=([\d.]+)", timing)[0]) >= 20
    timing = client.post("/emotion/batch", files=[part(photo)] * 3).headers["server-timing"]
    assert float(re.findall(r"detect;dur=([\d.]+)", timing)[0]) >= 60


def test_version(client: TestClient) -> None:
    assert client.get("/version").json() == {
        "name": "mien",
        "version": __version__,
        "detector": "yunet",
        "model": "custom",
    }


def test_version_names_the_plugin_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = metadata.EntryPoint("gloomy", "plugin:Gloomy", "mien.classifiers")
    monkeypatch.setattr(metadata, "entry_points", metadata.EntryPoints([entry]).select)
    app, _ = fake_app(model="gloomy")
    with TestClient(app) as client:
        assert client.get("/version").json()["model"] == "gloomy"


def test_version_names_the_model_of_the_card() -> None:
    classifier = FakeClassifier()
    classifier.card = replace(load_card("emotion-mobilenet"), name="mine")
    app = create_app(
        Settings(processes=False),
        build=lambda: Recognizer(detector=FakeDetector(), model=classifier),
    )
    with TestClient(app) as client:
        assert client.get("/version").json()["model"] == "mine"


def test_live_over_plain_http_is_called_a_websocket(client: TestClient) -> None:
    for response in (client.get("/live"), client.post("/live")):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert "WebSocket" in response.json()["detail"]
    assert "WebSocket" not in client.get("/lives").json()["detail"]


def test_without_a_page_the_root_is_not_found() -> None:
    app, _ = fake_app(page=False)
    with TestClient(app) as client:
        response = client.get("/")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        assert "/docs" in response.json()["detail"]
        assert client.get("/web/main.js").status_code == 404


def test_files_of_the_page_are_sent_again_only_if_they_changed(client: TestClient) -> None:
    for path in ("/", "/web/main.js"):
        first = client.get(path)
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
        for known in (tag, f'"other", W/{tag}'):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == tag
            assert "default-src 'none'" in again.headers["Content-Security-Policy"]
        other = client.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)


def test_not_ready_before_the_start_and_while_draining(photo: bytes) -> None:
    app, _ = fake_app()
    cold = TestClient(app)
    assert cold.get("/livez").status_code == 200
    for method, path in (("GET", "/readyz"), ("POST", "/emotion"), ("GET", "/version")):
        response = cold.request(method, path)
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
    with TestClient(app) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        app.state.service.drain()
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.post("/emotion", files=[part(photo)]).status_code == 200


def test_warm_up_runs_the_models(detector: FakeDetector, client: TestClient) -> None:
    assert detector.received == [None]


def test_a_model_that_fails_ends_the_start() -> None:
    app, detector = fake_app()
    detector.error = ArtifactError("altered")
    with pytest.raises(ArtifactError), TestClient(app):
        pass


def test_unexpected_errors_reveal_nothing(
    client: TestClient,
    photo: bytes,
    detector: FakeDetector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for error in (RuntimeError("secret"), UnreadableFileError("secret"), ArtifactError("secret")):
        detector.error = error
        caplog.clear()
        response = client.post("/emotion", files=[part(photo)], headers={"X-Request-ID": "r-1"})
        assert (response.status_code, response.json()["code"]) == (500, "internal_error")
        assert "secret" not in response.text
        assert "secret" in caplog.text
        assert caplog.records[0].request_id == "r-1"
        assert response.headers["x-request-id"] == "r-1"


def test_one_line_per_request(
    client: TestClient, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    client.post("/emotion?labels=six", files=[part(photo)], headers={"X-Request-ID": "r-2"})
    client.get("/%0aforged%20line")
    assert [line.lower() for line in logged(caplog)] == [
        "post /emotion 200",
        "get /%0aforged%20line 404",
    ]


def test_the_parser_logs_no_content(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client.post(
        "/emotion",
        content=b"--x\r\nsecret\x00: 1\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert not [r for r in caplog.records if "character" in r.getMessage()]


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_problem_is_explained(client: TestClient, code: str) -> None:
    assert f'id="{code}"' in client.get("/docs").text


def test_problems_contain_no_file_names() -> None:
    error = NotAnImageError("this is not a picture")
    error.path = Path("/srv/secret.jpg")
    response = problem_response(error, "id")
    assert json.loads(bytes(response.body))["detail"] == "this is not a picture"


def test_problem_of_an_error_from_a_plugin() -> None:
    response = problem_response(ValueError("secret"), "id")
    assert response.status_code == 500
    assert b"secret" not in bytes(response.body)


def test_the_page_loads_nothing_from_other_hosts(client: TestClient) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<script" not in response.text
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', response.text)
    assert addresses
    assert {address for address in addresses if address[0] != "#"} == {"openapi.json"}
    for shown in ("/emotion/batch", "min_face_size", "multipart/form-data"):
        assert shown in response.text


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"Host": "faces.example.org"}, "http://faces.example.org"),
        ({"Host": "127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"Host": "[::1]:9000"}, "http://[::1]:9000"),
        ({"Host": "my_service:9000"}, "http://my_service:9000"),
        ({"Host": "faces.example.org", "X-Forwarded-Proto": "https"}, "https://faces.example.org"),
        ({"Host": "faces.example.org", "X-Forwarded-Proto": "ftp"}, "http://faces.example.org"),
        ({"Host": ""}, "http://127.0.0.1:9000"),
        ({"Host": "x:123456"}, "http://127.0.0.1:9000"),
        ({"Host": "a" * 300}, "http://127.0.0.1:9000"),
        ({"Host": "<script>alert(1)</script>"}, "http://127.0.0.1:9000"),
        ({"Host": "x'; touch gone; '"}, "http://127.0.0.1:9000"),
        ({"Host": "x/$(touch gone)"}, "http://127.0.0.1:9000"),
        ({"Host": "mien@evil.example"}, "http://127.0.0.1:9000"),
        ({"Host": "bücher.example".encode()}, "http://127.0.0.1:9000"),
        ({"Host": "{address}"}, "http://127.0.0.1:9000"),
    ],
)
def test_the_examples_use_the_requested_host(
    client: TestClient, headers: dict[str, str | bytes], address: str
) -> None:
    page = client.get("/docs", headers=headers).text
    commands = [line for line in unescape(page).splitlines() if "curl -" in line]
    assert len(commands) == 3
    for command in commands:
        assert shlex.split(command)[-1].startswith(f"{address}/emotion")
    assert all(injected not in page for injected in ("<script", "touch", "evil", "{address}"))


def test_the_docs_show_lists_bodies_types_and_the_websocket(client: TestClient) -> None:
    page = client.get("/docs").text
    for cells in (
        ("<code>include</code>", "list of <code>scores</code>"),
        (
            "<code>labels</code>",
            "<code>six</code>",
            "<code>eight</code>",
            "Default: <code>six</code>",
        ),
        ("multipart/form-data", "<code>image</code>", "file", "JPEG"),
        ("application/json", "<code>image</code>", "string", "Base64", "data:image/jpeg;base64,"),
        ("application/octet-stream", "file", "JPEG"),
        ("multipart/form-data", "<code>image</code>", "list of file"),
        ("application/json", "<code>video</code>", "string", "data:video/mp4;base64,"),
        ("<code>bounding_box</code>", "list of 4: integer from 0<"),
        ("<code>landmarks</code>", "list of 5: list of 2: number"),
        ("<code>scores</code>", "object of number from 0 to 1"),
    ):
        row = ".*?".join(map(re.escape, cells))
        assert re.search(f"<tr>(?:(?!</tr>).)*{row}", page), cells
    assert "lines of JSON, each" in page
    assert "<code>/live</code>" in page
    targets = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= targets
    assert {"errors", "type-Face", "type-VideoSample"} <= targets


def test_openapi_describes_every_body(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/emotion", "/emotion/batch", "/video"):
        body = paths[path]["post"]["requestBody"]
        assert body["description"]
        for media in body["content"].values():
            for field in media["schema"].get("properties", {"": media["schema"]}).values():
                assert field["description"]
    (example,) = paths["/emotion"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]["image"]["examples"]
    response = client.post("/emotion", json={"image": example})
    assert response.json()["code"] == "truncated_image", "Base64 that the service can decode"
    (include,) = (p for p in paths["/emotion"]["post"]["parameters"] if p["name"] == "include")
    assert include["schema"]["examples"] == [["scores", "landmarks"]]


def test_an_operation_without_a_description_is_shown() -> None:
    app, _ = fake_app()

    @app.get("/bare")
    async def bare(request: Request, depth: int, name: str | None = None) -> Response:
        return Response()

    with TestClient(app) as client:
        page = client.get("/docs").text
    assert ">GET /bare</h2>" in page
    assert "<code>depth</code></td><td>integer</td>" in page
    assert ">POST /emotion</h2>" in page


def test_openapi_declares_options_once(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    for name in ("analyze", "analyze_batch", "analyze_video"):
        parameters = {p["name"]: p for p in operations[name]["parameters"]}
        for option in option_fields():
            assert parameters[option.name]["description"] == option.metadata["about"]
        assert parameters["max_faces"]["schema"]["minimum"] == 1
        assert operations[name]["summary"]
    assert {"Face", "BatchEntry", "VideoLine", "Problem"} <= set(document["components"]["schemas"])
    assert "securitySchemes" not in document["components"]


def test_openapi_declares_keys_if_configured() -> None:
    with TestClient(fake_app(api_keys="a" * 64)[0]) as client:
        document = client.get("/openapi.json").json()
    assert len(document["components"]["securitySchemes"]) == 2
    assert document["paths"]["/emotion"]["post"]["security"]
    assert "security" not in document["paths"]["/livez"]["get"]


def test_below_a_path_prefix() -> None:
    """Whether a proxy removes the prefix or not."""
    with TestClient(fake_app(root_path="/mien")[0]) as client:
        for prefix in ("", "/mien"):
            assert client.get(f"{prefix}/livez/").status_code == 200
            assert "text/html" in client.get(f"{prefix}/").headers["content-type"]
            assert "/mien/emotion" in client.get(f"{prefix}/docs").text
            # Browsers resolve links against the folder of the address, which a missing slash moves.
            assert '<base href="/mien/">' in client.get(prefix).text
        assert client.get("/mienx").status_code == 404
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/mien"}]
        assert client.get("/nowhere").json()["type"] == "/mien/docs#not_found"


def test_the_page_has_no_absolute_paths(client: TestClient) -> None:
    page = client.get("/").text
    assert "<base" not in page
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links
    assert all(not link.startswith("/") for link in links)
    for link in links:
        assert client.get(f"/{link}").status_code == 200
    names = [file.name for file in (files("mien.server") / "web").iterdir()]
    scripts = [client.get(f"/web/{name}").text for name in names if name.endswith(".js")]
    assert scripts
    for script in scripts:
        assert not re.search(r"""["'`]/(emotion|live|video|web|docs)""", script)


def test_openapi_lists_all_codes(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    statuses = set(schema["paths"]["/emotion"]["post"]["responses"])
    assert statuses == {
        "200",
        "400",
        "401",
        "405",
        "408",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
        "504",
    }
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(schema))
    assert set(references) <= set(schema["components"]["schemas"])


def test_timings_of_several_images_are_added_but_their_waits_overlap() -> None:
    context = RequestContext("id", "POST", "/emotion/batch")
    for seconds in (0.2, 0.3):
        context.stages += [Stage("queue", 0, seconds), Stage("decode", 0, seconds)]
    assert context.milliseconds == {"decode": 500, "detect": 0, "classify": 0, "queue": 300}


def test_large_images_are_refused(client: TestClient) -> None:
    files = [part(encoded_image(1200, 1000))]
    assert client.post("/emotion", files=files).json()["code"] == "image_too_large"
