"""Reflection: tools without protos find every service, method and value through the server."""

from __future__ import annotations

import pytest
from grpc_calls import Calls
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb

pytestmark = pytest.mark.sqlite_only

V1, V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"


def ask(calls: Calls, version: str, **asked: str) -> pb.ServerReflectionResponse:
    """Return the response to one request in that version of the protocol; both have the same messages on the wire."""
    method = calls.channel.stream_stream(
        f"/{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=pb.ServerReflectionRequest.SerializeToString,
        response_deserializer=pb.ServerReflectionResponse.FromString,
    )
    (answer,) = method(iter([pb.ServerReflectionRequest(**asked)]))
    return answer


@pytest.mark.parametrize("version", [V1, V1ALPHA])
def test_reflection_names_every_service(calls: Calls, version: str) -> None:
    """A client without the protos can list each service, by the newer and by the older protocol."""
    answer = ask(calls, version, list_services="")
    found = {service.name for service in answer.list_services_response.service}
    assert found == {
        "tallymark.v1.ModelRegistry",
        "tallymark.v1.RunRegistry",
        "tallymark.v1.EventLog",
        "tallymark.v1.Access",
        "grpc.health.v1.Health",
        f"{V1}.ServerReflection",
        f"{V1ALPHA}.ServerReflection",
    }


@pytest.mark.parametrize("version", [V1, V1ALPHA])
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("tallymark.v1.ModelRegistry", "tallymark/v1/model_registry.proto"),
        ("tallymark.v1.ModelRegistry.SetStage", "tallymark/v1/model_registry.proto"),
        ("tallymark.v1.RunRegistry.StartRun", "tallymark/v1/run_registry.proto"),
        ("tallymark.v1.Stage.STAGE_NONE", "tallymark/v1/model.proto"),
        ("tallymark.v1.Model.last_number", "tallymark/v1/model.proto"),
    ],
)
def test_a_symbol_is_found_with_its_file(calls: Calls, version: str, symbol: str, file: str) -> None:
    """A service, a method, a value and a field are found by their full names, as grpcurl and ghz request them."""
    answer = ask(calls, version, file_containing_symbol=symbol)
    files = [
        FileDescriptorProto.FromString(data).name for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert files[0] == file


@pytest.mark.parametrize(
    "symbol", ["tallymark.v1.ModelRegistry.Nothing", "tallymark.v1.Nothing.GetModel", "nothing", ""]
)
def test_a_symbol_that_is_not_there_is_not_found(calls: Calls, symbol: str) -> None:
    """An unknown name is reported as not found, and the stream stays open."""
    assert ask(calls, V1, file_containing_symbol=symbol).error_response.error_code == 5
