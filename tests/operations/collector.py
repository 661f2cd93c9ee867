"""A collector of OpenTelemetry: it receives spans over OTLP, as programs send them to any collector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Spans = list[Span]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """The spans that were received. `address` is where it listens."""

    def __init__(self) -> None:
        self.address = ""
        self._spans: Spans = []
        self._received = threading.Condition()

    def Export(  # noqa: N802 - the method of the service
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep the spans."""
        with self._received:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self._spans.extend(scope.spans)
            self._received.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait(self, found: Callable[[Spans], bool]) -> Spans:
        """Return all spans once the condition is true of them."""
        with self._received:
            assert self._received.wait_for(lambda: found(self._spans), 60), [span.name for span in self._spans]
            return list(self._spans)

    def named(self, name: str, count: int = 1) -> Spans:
        """Return the spans of that name once there are so many."""

        def of_that_name(spans: Spans) -> Spans:
            return [span for span in spans if span.name == name]

        return of_that_name(self.wait(lambda spans: len(of_that_name(spans)) >= count))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Yield a collector that listens on a free port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server  # generated, and so untyped
    add(collector, server)
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def attributes(span: Span) -> dict[str, str | int]:
    """Return the attributes that are texts or numbers."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
