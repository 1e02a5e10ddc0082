"""OpenTelemetry: a span for each request and one for each stage; needs the extra ``otel``.

Spans are made when the answer is out, from the times that were kept: nothing waits for a tracer.
"""

import threading
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mien._version import __version__
from mien.http.exchange import Exchange

__all__ = ["Traces"]

_NS = 1_000_000_000
_SERVER_ERROR = 500
_PATIENCE_S = 2.0


class Traces:
    """Sends spans to a collector. endpoint: its address for OTLP over HTTP.

    What is sampled, with which attributes, and how many wait, is set by the standard ``OTEL_``
    variables. Source of the names: OpenTelemetry semantic conventions 1.37, HTTP spans.
    """

    def __init__(self, endpoint: str) -> None:
        ours = Resource.create({SERVICE_NAME: "mien", SERVICE_VERSION: __version__})
        resource = ours.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mien", __version__)

    def record(self, exchange: Exchange, status: int) -> str:
        """Hand over the spans of an exchange that is over, and return its trace id in hex."""
        parent = TraceContextTextMapPropagator().extract(
            {"traceparent": exchange.traceparent} if exchange.traceparent else {}
        )
        request = self._tracer.start_span(
            f"{exchange.method} {exchange.route}",
            parent,
            trace.SpanKind.SERVER,
            _attributes(exchange, status),
            start_time=_at(exchange, exchange.began_s),
        )
        inside = trace.set_span_in_context(request)
        for stage in exchange.stages:
            span = self._tracer.start_span(
                stage.name, inside, start_time=_at(exchange, stage.began_s)
            )
            span.end(_at(exchange, stage.began_s + stage.seconds))
        if status >= _SERVER_ERROR:
            request.set_status(trace.StatusCode.ERROR, ",".join(exchange.codes))
        request.end(_at(exchange, exchange.began_s + exchange.seconds))
        return trace.format_trace_id(request.get_span_context().trace_id)

    def close(self) -> None:
        """Send what is left, if the collector takes it soon, and stop."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(_PATIENCE_S)


def _attributes(exchange: Exchange, status: int) -> Mapping[str, str | int]:
    return {
        "http.request.method": exchange.method,
        "http.route": exchange.route,
        "http.response.status_code": status,
        "mien.request_id": exchange.request_id,
        "mien.pictures": exchange.pictures,
        "mien.faces": exchange.faces,
    }


def _at(exchange: Exchange, counter_s: float) -> int:
    """Return a reading of the performance counter as time since the epoch, in nanoseconds."""
    return exchange.began_ns + round((counter_s - exchange.began_s) * _NS)
