"""Security headers, CORS, and features that can be disabled."""

from base64 import b64encode

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from http_fakes import fake_app, part

ORIGIN = "https://example.org"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "X-API-Key",
}


@pytest.mark.parametrize("path", ["/livez", "/emotion", "/nowhere", "/docs", "/openapi.json"])
def test_responses_have_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_cors_is_off_by_default(client: TestClient, photo: bytes) -> None:
    assert client.options("/emotion", headers=PREFLIGHT).status_code == 405
    response = client.post("/emotion", files=[part(photo)], headers={"Origin": ORIGIN})
    assert not [name for name in response.headers if name.startswith("access-control")]


def cors(client: TestClient, origin: str) -> tuple[httpx.Response, httpx.Response]:
    preflight = client.options("/emotion", headers={**PREFLIGHT, "Origin": origin})
    return preflight, client.post("/emotion?x=1", headers={"Origin": origin})


@pytest.mark.parametrize("allowed", [f"https://other.org, {ORIGIN}", "*"])
def test_allowed_origins(allowed: str) -> None:
    with TestClient(fake_app(cors_origins=allowed)[0]) as client:
        preflight, actual = cors(client, ORIGIN)
    assert preflight.status_code == 200
    assert actual.status_code == 422, "an error too can be read by the page"
    for response in (preflight, actual):
        assert response.headers["access-control-allow-origin"] in (ORIGIN, "*")
        assert "access-control-allow-credentials" not in response.headers
        assert response.headers["x-request-id"]
    assert "Retry-After" in actual.headers["access-control-expose-headers"]


def test_disallowed_origins() -> None:
    with TestClient(fake_app(cors_origins="https://other.org")[0]) as client:
        for response in cors(client, ORIGIN):
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("preflight", "status"),
    [
        ({"Origin": "https://other.org"}, 400),
        ({"Access-Control-Request-Method": "DELETE"}, 400),
        ({"Access-Control-Request-Headers": "traceparent,tracestate"}, 200),
        ({"Access-Control-Request-Headers": "sentry-trace,baggage"}, 200),
        ({"Access-Control-Request-Headers": "x-requested-with"}, 200),
        ({"Access-Control-Request-Headers": "b3,cache-control,newrelic,x-datadog-trace-id"}, 200),
    ],
)
def test_the_framework_responds_to_preflights(preflight: dict[str, str], status: int) -> None:
    with TestClient(fake_app(cors_origins=ORIGIN)[0]) as client:
        response = client.options("/emotion", headers=PREFLIGHT | preflight)
    assert response.status_code == status
    assert response.headers["x-request-id"]
    if status == 200:
        allowed = response.headers["access-control-allow-headers"].lower().split(",")
        wanted = preflight.get("Access-Control-Request-Headers", "x-api-key").lower().split(",")
        assert {name.strip() for name in allowed} >= set(wanted)
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_documentation_can_be_disabled() -> None:
    with TestClient(fake_app(docs=False)[0]) as client:
        for path in ("/docs", "/openapi.json"):
            assert client.get(path).json()["code"] == "not_found"
        assert "docs-link" not in client.get("/").text
        assert client.get("/livez").status_code == 200


def test_the_sum_of_bodies_is_limited(photo: bytes) -> None:
    app, _ = fake_app(max_upload_bytes=len(photo) + 1, max_pending_bytes=len(photo) + 1)
    with TestClient(app) as client:
        service = app.state.service
        raw = {"content": photo, "headers": {"Content-Type": "image/jpeg"}}
        with service.holding_bytes() as hold:
            assert client.post("/emotion", **raw).status_code == 200
            hold(2)
            full = client.post("/emotion", **raw)
            assert (full.status_code, full.json()["code"]) == (429, "queue_full")
            assert int(full.headers["retry-after"]) >= 1
        for _ in range(3):
            assert client.post("/emotion", **raw).status_code == 200, "all of it was given back"
        # Base64 takes more bytes than there may ever be.
        large = client.post("/emotion", json={"image": b64encode(photo).decode()})
        assert (large.status_code, large.json()["code"]) == (413, "upload_too_large")
