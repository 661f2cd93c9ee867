"""Spans of runs and steps by OpenTelemetry. Nothing of it is imported unless the setting `otel` is on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tallymark.errors import InvalidSetting

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

# The parameter of a run that has the id of its trace.
TRACE_ID = "otel.trace_id"
# A parent process passes its span on in these variables.
_PARENTS = {"traceparent": "TRACEPARENT", "tracestate": "TRACESTATE"}


class WorkSpan:
    """The span of a run or a step. The code after it begins belongs to it until `detach`."""

    def __init__(self, name: str) -> None:
        makes = tracer()
        from opentelemetry import context, trace

        self._span = makes.start_span(name, _parent())
        self._before: Any = context.attach(trace.set_span_in_context(self._span))

    def describe(self, attributes: Mapping[str, str]) -> None:
        """Set the attributes that are not empty."""
        self._span.set_attributes({f"tallymark.{name}": value for name, value in attributes.items() if value})

    def detach(self) -> None:
        """Let the code after this belong to the span before."""
        from opentelemetry import context, trace

        # A run that is finished elsewhere than it was started leaves the context there as it is.
        if self._before is not None and trace.get_current_span() is self._span:
            context.detach(self._before)
        self._before = None

    def end(self, error: BaseException | None) -> None:
        """End the span, with the error that has ended the work, if any."""
        from opentelemetry.trace import StatusCode

        self.detach()
        if error is not None:
            # Without the message, which may have secrets.
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def headers() -> tuple[tuple[str, str], ...]:
    """Return the headers with which a call continues the trace that it belongs to; none outside of a trace."""
    propagator = _propagator()
    carrier: dict[str, str] = {}
    propagator.inject(carrier)
    return tuple(carrier.items())


def trace_parameter() -> dict[str, str]:
    """Return the parameter with the id of the trace that the code belongs to; none outside of a trace."""
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return {TRACE_ID: f"{found.trace_id:032x}"} if found.is_valid else {}


@lru_cache(maxsize=1)
def tracer() -> Tracer:
    """Return what makes spans: of the program's provider, else one that sends them as the OTEL_ variables say.

    Raises InvalidSetting if OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import trace

        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            provider = TracerProvider()
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(provider)
        return trace.get_tracer("tallymark")
    except ImportError as error:
        raise InvalidSetting(
            f"TALLYMARK_OTEL is on and needs {error.name}, which is not installed: pip install 'tallymark[otel]'"
        ) from None


def _propagator() -> Any:
    tracer()
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


def _parent() -> Any:
    """Return the context of the code that calls, else of the process that has started this one."""
    from opentelemetry import context, trace

    if trace.get_current_span().get_span_context().is_valid:
        return context.get_current()
    carrier = {}
    for name, variable in _PARENTS.items():
        with suppress(KeyError):
            carrier[name] = os.environ[variable]
    return _propagator().extract(carrier)
