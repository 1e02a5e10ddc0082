"""The log of a running service."""

import json
import logging.config
import subprocess

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app, part
from http_process import served
from mien.server.logs import logging_config

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines_of(process: subprocess.Popen[str]) -> list[dict]:
    process.terminate()
    return [json.loads(line) for line in process.stderr.read().splitlines()]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_is_json(workers: int) -> None:
    with served(workers, 0.0) as (process, address):
        image = {"image": ("secret-name.jpg", encoded_image())}
        httpx.post(f"{address}/emotion", files=image, headers={"X-Request-ID": "r-1"})
        httpx.post(f"{address}/emotion?x=1", files=image, headers={"traceparent": TRACEPARENT})
        lines = lines_of(process)
    answered, refused = [line for line in lines if line["event"] == "request"]
    assert answered | {"timestamp": "", "duration_ms": 0} == answered | {
        "timestamp": "",
        "level": "info",
        "logger": "mien.access",
        "request_id": "r-1",
        "method": "POST",
        "path": "/emotion",
        "status": 200,
        "duration_ms": 0,
        "images": 1,
        "faces": 2,
    }
    assert answered["duration_ms"] > answered["decode_ms"] > 0
    assert {"detect_ms", "classify_ms", "queue_ms"} <= answered.keys()
    assert refused["codes"] == ["invalid_parameter"]
    assert refused["trace_id"] == refused["request_id"] == TRACE
    assert "secret-name" not in json.dumps(lines)


def test_errors_are_logged_with_request_id_and_without_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    detector = FakeDetector()
    app, _ = fake_app(detector)
    logging.config.dictConfig(logging_config("json"))
    with TestClient(app) as client:
        detector.error = RuntimeError("broken")
        client.post("/emotion", files=[part(encoded_image())], headers={"X-Request-ID": "r-2"})
        client.post(
            "/emotion/batch", files=[part(encoded_image())], headers={"X-Request-ID": "r-3"}
        )
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    failed = [line for line in lines if line["level"] == "error"]
    assert [line["request_id"] for line in failed] == ["r-2", "r-3"]
    for line in failed:
        assert "RuntimeError: broken" in line["exception"]
        assert "array(" not in line["exception"]
        assert "RgbImage" not in line["exception"]


def test_text_format(capsys: pytest.CaptureFixture[str]) -> None:
    app, _ = fake_app()
    logging.config.dictConfig(logging_config("text"))
    with TestClient(app) as client:
        client.get("/nowhere")
        client.get("/livez")
    (line,) = capsys.readouterr().err.splitlines()
    assert "request" in line
    assert "status=404" in line
    assert "path=/nowhere" in line


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACEPARENT, True),
        (TRACEPARENT.upper(), False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-00f067aa0ba902b7", False),
        ("x" * 5000, False),
    ],
)
def test_trace_ids_are_logged(client: TestClient, header: str, kept: bool) -> None:
    response = client.get("/livez", headers={"traceparent": header})
    assert (response.headers["x-request-id"] == TRACE) == kept
    both = client.get("/livez", headers={"traceparent": header, "X-Request-ID": "own"})
    assert both.headers["x-request-id"] == "own"
