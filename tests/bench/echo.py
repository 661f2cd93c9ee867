"""A bare grpc.aio server that returns a fixed answer: the cost of a call without any work."""

from __future__ import annotations

from typing import Any

import grpc.aio
import uvloop

from tallymark.v1 import model_pb2, model_registry_pb2
from tallymark_server.rpc.server import OPTIONS

# As large as the registry's answer to the same request.
ANSWER = model_pb2.ModelVersion(
    name="projects/default/models/bench/versions/100000",
    number=100_000,
    version_name="100000",
    stage=model_pb2.STAGE_NONE,
    creator="anonymous",
    create_revision=100_000,
    mod_revision=100_000,
    etag="r100000",
)
ANSWER.create_time.GetCurrentTime()
ANSWER.update_time.CopyFrom(ANSWER.create_time)


async def create(request: model_registry_pb2.CreateModelVersionRequest, context: Any) -> model_pb2.ModelVersion:
    """Return the same answer to every request."""
    del request, context
    answer = model_pb2.ModelVersion()
    answer.CopyFrom(ANSWER)
    return answer


async def serve() -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(options=OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(
        create,
        request_deserializer=model_registry_pb2.CreateModelVersionRequest.FromString,
        response_serializer=model_pb2.ModelVersion.SerializeToString,
    )
    service = model_registry_pb2.DESCRIPTOR.services_by_name["ModelRegistry"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"CreateModelVersion": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"echo on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve())
