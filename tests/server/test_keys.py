"""API keys: accepted and refused requests, and errors of configuration."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from http_fakes import encoded_image, fake_app, part
from mien.cli import main
from mien.errors import InvalidParameterError
from mien.server import run
from mien.server.keys import ApiKeys, digest_of, new_key
from mien.settings import Settings

KEY, OTHER = new_key(), new_key()
BOTH = f"{digest_of(KEY)}, {digest_of(OTHER).upper()},"


@pytest.fixture
def client() -> TestClient:
    app, _ = fake_app(api_keys=BOTH)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer  {OTHER} "},
        {"X-API-Key": OTHER},
    ],
)
def test_each_key_is_accepted(client: TestClient, headers: dict[str, str]) -> None:
    assert (
        client.post("/emotion", files=[part(encoded_image())], headers=headers).status_code == 200
    )
    assert client.post("/emotion/batch", files=[part(encoded_image())], headers=headers).is_success


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {digest_of(KEY)}"},
        {"X-API-Key": ""},
        {"X-API-Key": b"\xff\xfe"},
        {"Authorization": "Bearer wrong", "X-API-Key": KEY},
    ],
)
@pytest.mark.parametrize("path", ["/emotion", "/emotion/batch", "/emotion?no=such"])
def test_other_keys_are_refused(client: TestClient, headers: dict[str, str], path: str) -> None:
    response = client.post(path, files=[part(encoded_image())], headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in response.text


def test_probes_and_documentation_need_no_key(client: TestClient) -> None:
    for path in ("/livez", "/readyz", "/version", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_without_keys_no_authentication_is_needed() -> None:
    app, _ = fake_app()
    with TestClient(app) as client:
        assert client.post("/emotion", files=[part(encoded_image())]).status_code == 200


def test_a_file_of_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n{digest_of(KEY)} the web shop\n{digest_of(OTHER)} # a guest\n")
    app, _ = fake_app(api_keys_file=file)
    with TestClient(app) as client:
        for key in (KEY, OTHER):
            response = client.post(
                "/emotion", files=[part(encoded_image())], headers={"X-API-Key": key}
            )
            assert response.status_code == 200
        assert client.post("/emotion", files=[part(encoded_image())]).status_code == 401
    lines = [record for record in caplog.records if record.name == "mien.access"]
    names = [getattr(line, "key", None) for line in lines]
    assert names == ["the web shop", digest_of(OTHER)[:8], None]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"# none\n", b"\xff\xfe", KEY.encode()],
    ids=["missing", "empty", "comment", "binary", "key"],
)
def test_a_key_file_without_keys_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidParameterError, match="key") as caught:
        ApiKeys.from_settings(Settings(api_keys_file=file))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("listed", [",", " ", " , "])
def test_a_list_without_keys_is_refused(listed: str) -> None:
    with pytest.raises(InvalidParameterError, match="MIEN_API_KEYS"):
        fake_app(api_keys=listed)


def test_a_key_instead_of_its_hash_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIEN_API_KEYS", KEY)
    assert main(["serve", "--port", "0"]) == 2
    reported = capsys.readouterr().err
    assert "mien keys" in reported
    assert KEY not in reported


def test_generated_keys_match_their_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == 0
    assert main(["keys"]) == 0
    reported = capsys.readouterr()
    lines = dict(line.split() for line in reported.out.splitlines()[:2])
    assert digest_of(lines["key"]) == lines["hash"]
    assert "MIEN_API_KEYS" in reported.err


@pytest.mark.parametrize(
    ("host", "keys", "warned"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("no.such.host.invalid", None, True),
        ("0.0.0.0", BOTH, False),
    ],
)
def test_missing_authentication_is_logged(
    host: str,
    keys: str | None,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_listener(*_: object) -> None:
        raise OSError(1, "not in this test")

    monkeypatch.setattr(run, "_listen", no_listener)
    assert run.serve(Settings(host=host, api_keys=keys)) == 1
    assert ("no API keys" in capsys.readouterr().err) == warned
