"""Spans as a collector gets them, over a real connection."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app, part
from mien.errors import InvalidParameterError

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Collects spans, and the resource attributes of their sender."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: dict[str, str] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    raise NotImplementedError
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for group in request.resource_spans:
            self.resources |= {a.key: a.value.string_value for a in group.resource.attributes}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_a_span_for_each_stage(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    detector = FakeDetector()
    app, _ = fake_app(detector, trace_endpoint=collector.endpoint)
    with TestClient(app) as client:
        detector.wait_s = 0.05
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        client.post("/emotion", files=[part(encoded_image())], headers=headers)
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"POST /emotion", "queue", "decode", "detect", "classify"}
    request = spans.pop("POST /emotion")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert request.kind == Span.SPAN_KIND_SERVER
    attributes = {a.key: a.value.int_value or a.value.string_value for a in request.attributes}
    assert attributes["http.response.status_code"] == 200
    assert attributes["http.route"] == "/emotion"
    assert attributes["mien.faces"] == 2
    for span in spans.values():
        assert span.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    detect = spans["detect"]
    assert detect.end_time_unix_nano - detect.start_time_unix_nano >= 0.05e9
    assert spans["decode"].end_time_unix_nano <= detect.start_time_unix_nano
    assert collector.resources["service.name"] == "mien"
    line = next(record for record in caplog.records if record.name == "mien.access")
    assert line.trace_id == TRACE


def test_traces_start_here_and_errors_are_marked(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "faces")
    detector = FakeDetector()
    app, _ = fake_app(detector, trace_endpoint=collector.endpoint)
    with TestClient(app) as client:
        detector.error = RuntimeError("broken")
        client.post("/emotion", files=[part(encoded_image())])
    (request,) = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert request.status.code == Status.STATUS_CODE_ERROR
    assert request.status.message == "internal_error"
    assert not request.parent_span_id
    assert collector.resources["service.name"] == "faces"
    line = next(record for record in caplog.records if record.name == "mien.access")
    assert line.trace_id == request.trace_id.hex()


def test_unsampled_traces_stay_unsampled(collector: Collector) -> None:
    app, _ = fake_app(trace_endpoint=collector.endpoint)
    with TestClient(app) as client:
        client.get("/version", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert not collector.spans


def test_an_unreachable_collector_does_not_delay_requests(collector: Collector) -> None:
    app, _ = fake_app(trace_endpoint="http://127.0.0.1:9/v1/traces")
    with TestClient(app) as client:
        assert client.post("/emotion", files=[part(encoded_image())]).status_code == 200


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "mien.server.traces", raising=False)
    with pytest.raises(InvalidParameterError, match=r"pip install 'mien\[otel\]'"):
        fake_app(trace_endpoint="http://127.0.0.1:9/v1/traces")
