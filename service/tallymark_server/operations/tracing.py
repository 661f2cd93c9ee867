"""Traces by OpenTelemetry: a span for each call, each batch and each commit, sent as the OTEL_ variables say."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from typing import Any, NamedTuple

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tallymark_server.observer import CallObserver, Headers, Observer

NAME = "tallymark"
# The span of a batch has links to the spans of so many of its calls.
MAX_LINKS = 128
# The codes that are faults of the service, as the conventions have it; others are the caller's.
FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_PROPAGATOR = TraceContextTextMapPropagator()
_PARENTS = frozenset({"traceparent", "tracestate"})


class Tracing(Observer):
    """The traces of one service. `close` sends those that have not been sent."""

    def __init__(self, version: str) -> None:
        # Variables such as OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_ENDPOINT have precedence.
        self._provider = TracerProvider(
            resource=Resource({"service.name": NAME, "service.version": version}).merge(Resource.create()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME, version)

    def close(self) -> None:
        """Send the spans that have ended, which takes some seconds at most if no collector answers."""
        self._provider.shutdown()

    def call(self, service: str, method: str, transport: str) -> CallObserver:
        """Return the spans of the method's calls."""
        return _CallSpans(self._tracer, f"tallymark.v1.{service}", method, transport)

    def queued(self) -> SpanContext:
        """Return the span of the call that the command belongs to."""
        return trace.get_current_span().get_span_context()

    @contextmanager
    def batch(self, queued: Sequence[SpanContext]) -> Iterator[None]:
        """Begin a trace of its own, since a batch has several callers, with links to their spans."""
        links = [Link(each) for each in queued[:MAX_LINKS] if each.is_valid]
        attributes = {"tallymark.batch.commands": len(queued)}
        with self._tracer.start_as_current_span("batch", context.Context(), links=links, attributes=attributes):
            yield

    def commit(self) -> AbstractContextManager[object]:
        """Begin a span within that of the batch."""
        return self._tracer.start_as_current_span("commit")

    @contextmanager
    def working(self, kind: str) -> Iterator[None]:
        """Begin a span within that of the call."""
        span = self._tracer.start_span(kind)
        try:
            yield
        finally:
            span.end()


class _Begun(NamedTuple):
    """The span of a call, and what restores the context before it."""

    span: Span
    before: Token[context.Context]


class _CallSpans(CallObserver):
    """The spans of the calls of one method. Each continues the trace of its caller."""

    __slots__ = ("_attributes", "_name", "_tracer")

    def __init__(self, tracer: Tracer, service: str, method: str, transport: str) -> None:
        self._tracer = tracer
        self._name = f"{service}/{method}"
        self._attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "network.protocol.name": transport,
        }

    def begin(self, headers: Headers) -> _Begun:
        """Begin the span, in which all runs until `end`."""
        given = {key: value for key, value in headers() or () if key in _PARENTS and isinstance(value, str)}
        parent = _PROPAGATOR.extract(given, context.Context())
        span = self._tracer.start_span(self._name, parent, SpanKind.SERVER, self._attributes)
        return _Begun(span, context.attach(trace.set_span_in_context(span)))

    def end(self, begun: _Begun, code: str) -> None:
        """End the span."""
        begun.span.set_attribute("rpc.response.status_code", code)
        if code in FAULTS:
            begun.span.set_status(trace.Status(trace.StatusCode.ERROR))
        begun.span.end()
        context.detach(begun.before)


def trace_ids(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids of the trace and the span to a line of the log, if it belongs to one."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace_id"], event["span_id"] = f"{found.trace_id:032x}", f"{found.span_id:016x}"
    return event
