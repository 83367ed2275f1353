"""Spans of requests, exported by OTLP where the standard environment variables say so."""

from __future__ import annotations

import importlib.util
import logging
import time
from typing import TYPE_CHECKING

from afterfit._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider

    from afterfit.serving._exchange import Route, Scope
    from afterfit.serving._trace import Parent, Trace

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_log = logging.getLogger("afterfit.serving")


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a collector, and nothing there turns traces off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip() != "otlp":
        return False
    return any(environment.get(name) for name in ENDPOINTS)


def why_not(environment: Mapping[str, str]) -> str | None:
    """Why spans that are wanted cannot be exported, or None."""
    if importlib.util.find_spec("opentelemetry") is None or not _has_exporter():
        return 'OpenTelemetry is configured and not installed: pip install "afterfit[otel]"'
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        return f"OpenTelemetry is configured for {protocol}; afterfit exports http/protobuf"
    return None


def _has_exporter() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def otlp_processor() -> SpanProcessor:
    """Sends spans in batches, in a thread of its own, to where the environment says."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


class Spans:
    """A span for every request, in the trace of its parent; sampled as `OTEL_TRACES_SAMPLER` says."""

    def __init__(self, processor: SpanProcessor, environment: Mapping[str, str]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        attributes = {"service.version": __version__} | ({} if named else {"service.name": "afterfit"})
        self._provider: TracerProvider = TracerProvider(
            resource=Resource.create(attributes), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("afterfit", __version__)

    def begin(self, trace: Trace) -> Span:
        """Start the span of a request, which takes its ids from it."""
        from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

        span = self._tracer.start_span(
            "request", context=_context(trace.parent), kind=SpanKind.SERVER, start_time=time.time_ns()
        )
        found = span.get_span_context()
        trace.trace_id, trace.span_id = format_trace_id(found.trace_id), format_span_id(found.span_id)
        return span  # type: ignore[return-value]

    def end(self, span: Span, trace: Trace, scope: Scope, route: Route | None, status: int) -> None:
        """End the span with what became of its request."""
        from opentelemetry.trace import StatusCode

        if span.is_recording():
            span.update_name(scope["method"] if route is None else f"{scope['method']} {route.path}")
            found: dict[str, str | int | float | None] = {
                "http.request.method": scope["method"],
                "http.route": None if route is None else route.path,
                "http.response.status_code": status,
                "afterfit.request_id": trace.request_id,
                "afterfit.model": trace.model,
                "afterfit.rows": trace.rows,
                "afterfit.decode_seconds": trace.decoding,
                "afterfit.model_seconds": trace.model_time,
                "afterfit.write_seconds": trace.writing,
            }
            span.set_attributes({name: value for name, value in found.items() if value is not None})
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def _context(parent: Parent | None) -> Context:
    """An OpenTelemetry context with the span of the caller, and nothing else in it."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    caller = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(caller), Context())
