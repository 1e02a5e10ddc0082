"""OpenTelemetry: a span for each request and one for each stage; needs the extra ``otel``.

Spans are made after the response, from the recorded times: no request waits for a tracer.
"""

import asyncio
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
from mien.server.context import RequestContext

__all__ = ["Traces"]

_NS = 1_000_000_000
_SERVER_ERROR = 500
_PATIENCE_S = 2.0


class Traces:
    """Sends spans to a collector, at an address for OTLP over HTTP.

    The standard ``OTEL_`` variables configure sampling, attributes and the queue.
    Source of the names: OpenTelemetry semantic conventions 1.37, HTTP spans.
    """

    def __init__(self, endpoint: str) -> None:
        own = Resource.create({SERVICE_NAME: "mien", SERVICE_VERSION: __version__})
        resource = own.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mien", __version__)

    def record(self, context: RequestContext, status: int) -> str:
        """Create the spans of a finished request; return its trace id in hex."""
        parent = TraceContextTextMapPropagator().extract(
            {"traceparent": context.traceparent} if context.traceparent else {}
        )
        request = self._tracer.start_span(
            f"{context.method} {context.route}",
            parent,
            trace.SpanKind.SERVER,
            _attributes(context, status),
            start_time=_at(context, context.began_s),
        )
        inside = trace.set_span_in_context(request)
        for stage in context.stages:
            span = self._tracer.start_span(
                stage.name, inside, start_time=_at(context, stage.began_s)
            )
            span.end(_at(context, stage.began_s + stage.seconds))
        if status >= _SERVER_ERROR:
            request.set_status(trace.StatusCode.ERROR, ",".join(context.codes))
        request.end(_at(context, context.began_s + context.seconds))
        return trace.format_trace_id(request.get_span_context().trace_id)

    async def close(self) -> None:
        """Send the remaining spans, if the collector accepts them soon, and stop."""
        # A daemon: the process does not wait for a collector that does not respond.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _PATIENCE_S)


def _attributes(context: RequestContext, status: int) -> Mapping[str, str | int]:
    return {
        "http.request.method": context.method,
        "http.route": context.route,
        "http.response.status_code": status,
        "mien.request_id": context.request_id,
        "mien.images": context.images,
        "mien.faces": context.faces,
    }


def _at(context: RequestContext, counter_s: float) -> int:
    """Return a reading of the performance counter as time since the epoch, in nanoseconds."""
    return context.began_ns + round((counter_s - context.began_s) * _NS)
