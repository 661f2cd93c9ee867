"""Server reflection in v1 and v1alpha, which have one wire format, so that grpcurl or ghz need no protos."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import grpc
import grpc.aio
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tallymark_server.access.door import Door
from tallymark_server.domain.errors import Overloaded, RegistryError
from tallymark_server.rpc.callers import GrpcContext, call_of
from tallymark_server.rpc.status import code_of, details_of

# Each may hold a request of 4 MiB that has not arrived whole.
MAX_STREAMS = 16
V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


class MemberPool:
    """The descriptors of a pool, found also by the full names of methods, fields and enum values.

    The protocol requests `package.Service.Method`; the pool of Python knows only top-level names.
    """

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name for it
        """Return the file that defines the symbol. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            parent, _, member = symbol.rpartition(".")
            if member not in self._members(parent):
                raise
            return self._pool.FindFileContainingSymbol(parent)

    def _members(self, parent: str) -> Iterable[str]:
        for find, attribute in (
            (self._pool.FindServiceByName, "methods_by_name"),
            (self._pool.FindEnumTypeByName, "values_by_name"),
            (self._pool.FindMessageTypeByName, "fields_by_name"),
        ):
            try:
                return tuple(getattr(find(parent), attribute))
            except KeyError:
                continue
        return ()


def add_reflection(server: grpc.aio.Server, services: Iterable[str], door: Door) -> None:
    """Serve reflection of these services, and of itself, to callers that are known."""
    names = (*services, V1, V1ALPHA)
    servicer = reflection.aio.ReflectionServicer(names, MemberPool(Default()))
    under_way = 0

    async def answered(
        requests: AsyncIterator[reflection_pb2.ServerReflectionRequest], context: GrpcContext
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        nonlocal under_way
        try:
            await call_of(door, context.invocation_metadata() or (), context)
        except RegistryError as unknown:
            await context.abort(code_of(unknown), str(unknown), details_of(unknown))
        if under_way >= MAX_STREAMS:
            error = Overloaded(under_way, "streams of reflection are open")
            await context.abort(code_of(error), str(error), details_of(error))
        under_way += 1
        try:
            async for answer in servicer.ServerReflectionInfo(requests, context):
                yield answer
        finally:
            under_way -= 1

    handler = grpc.stream_stream_rpc_method_handler(
        answered,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )
