"""The services of the contract, with the handlers that every edge calls: gRPC, and the methods over HTTP.

No handler is called but through its permission.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from tallymark.v1 import access_pb2, event_log_pb2, model_registry_pb2, run_registry_pb2
from tallymark_server.access.door import Needs
from tallymark_server.registry import Registry
from tallymark_server.rpc.access import Access
from tallymark_server.rpc.callers import Call
from tallymark_server.rpc.handlers import EventLog, ModelRegistry
from tallymark_server.rpc.limiters import AnswerLimiter
from tallymark_server.rpc.permissions import permission_of
from tallymark_server.rpc.run_handlers import RunRegistry

SERVICES: dict[ServiceDescriptor, type] = {
    model_registry_pb2.DESCRIPTOR.services_by_name["ModelRegistry"]: ModelRegistry,
    run_registry_pb2.DESCRIPTOR.services_by_name["RunRegistry"]: RunRegistry,
    event_log_pb2.DESCRIPTOR.services_by_name["EventLog"]: EventLog,
    access_pb2.DESCRIPTOR.services_by_name["Access"]: Access,
}


def methods(registry: Registry) -> Iterator[tuple[MethodDescriptor, Any]]:
    """Yield each method with its handler, which refuses callers that may not call it. Raises UndeclaredError."""
    for service, kind in SERVICES.items():
        servicer, limiter = kind(registry), AnswerLimiter()
        for method in service.methods:
            yield method, _permitted(method, limiter.limited(method, getattr(servicer, method.name)))


@cache
def method_needs(name: str) -> Needs:
    """Return what the method of that name needs of its caller. Raises KeyError if there is none."""
    found = {method.name: method for service in SERVICES for method in service.methods}
    return permission_of(found[name]).needs


def _permitted(method: MethodDescriptor, handle: Any) -> Any:
    check = permission_of(method).check

    def handled(request: Any, call: Call) -> Any:
        call.seen.request(request)
        check(call.caller, request)
        call.seen.store(request)
        return handle(request, call)

    return handled
