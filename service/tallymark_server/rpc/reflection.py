"""Server reflection in v1 and v1alpha, which have one wire format: grpcurl, ghz and the like need no protos."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
import grpc.aio
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"


class MemberPool:
    """The descriptors of a pool, found also by the full names of methods, fields and enum values.

    The protocol asks for `package.Service.Method`; the pool of Python knows files by top-level names alone.
    """

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name for it
        """Return the file that defines the symbol; raise KeyError."""
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


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Serve reflection of these services, and of itself."""
    names = (*services, V1, V1ALPHA)
    servicer = reflection.aio.ReflectionServicer(names, MemberPool(Default()))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, V1ALPHA):
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}),)
        )
