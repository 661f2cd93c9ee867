"""Refusals: every one is a clean status with a reason."""

import grpc
import pytest
from grpc_calls import PROJECT, Calls, refused, stream_bytes, unary_bytes
from google.protobuf.descriptor import MethodDescriptor
from google.rpc.error_details_pb2 import BadRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tallymark.v1 import event_log_pb2, model_registry_pb2, run_registry_pb2

pytestmark = pytest.mark.sqlite_only

SERVICES = (model_registry_pb2, run_registry_pb2, event_log_pb2)
METHODS = [
    method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("name", ["", " x", "a/b", "a@b", "a\nb", "x" * 256, "\u202ex"])
def test_a_bad_model_name_is_refused_with_its_field(calls: Calls, name: str) -> None:
    """The refusal names the field and says the rule, also as a field violation."""
    with refused("INVALID_NAME", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        calls.create_model(name)
    assert refusal.metadata["field"] == "model_id"
    assert "a name has 1 to 255 characters" in refusal.message
    violations = BadRequest()
    assert refusal.status.details[1].Unpack(violations)
    assert violations.field_violations[0].field == "model_id"


@pytest.mark.parametrize("name", ["7", "٣", "production", "LATEST", "None"])
def test_a_reserved_version_name_is_refused(calls: Calls, name: str) -> None:
    """Digits of any script, stages and `latest` mean something else."""
    calls.create_model("churn")
    with refused("RESERVED_NAME", grpc.StatusCode.INVALID_ARGUMENT):
        calls.create_version("churn", name)


@pytest.mark.parametrize(
    "parent", ["", "default", "projects", "projects/default/", "projects/a/models/b", "projects//"]
)
def test_a_bad_resource_name_is_refused_with_its_form(calls: Calls, parent: str) -> None:
    """The refusal says which form the name needs."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        calls.models.CreateModel(model_registry_pb2.CreateModelRequest(parent=parent, model_id="churn"))
    assert refusal.metadata == {"field": "parent", "value": parent}
    assert "projects/{project}" in refusal.message


def test_an_unknown_project_is_not_found(calls: Calls) -> None:
    """Reading, listing, writing and watching in a missing project are refused with PROJECT_NOT_FOUND."""
    other = "projects/other"
    attempts = (
        lambda: calls.models.CreateModel(model_registry_pb2.CreateModelRequest(parent=other, model_id="churn")),
        lambda: calls.models.GetModel(model_registry_pb2.GetModelRequest(name=f"{other}/models/churn")),
        lambda: calls.models.ListModels(model_registry_pb2.ListModelsRequest(parent=other)),
        lambda: calls.log.ListEvents(event_log_pb2.ListEventsRequest(parent=other)),
        lambda: next(calls.log.Watch(event_log_pb2.WatchRequest(parent=other))),
        lambda: calls.log.Verify(event_log_pb2.VerifyRequest(parent=other)),
        lambda: next(calls.log.Export(event_log_pb2.ExportRequest(parent=other))),
    )
    for attempt in attempts:
        with refused("PROJECT_NOT_FOUND", grpc.StatusCode.NOT_FOUND) as refusal:
            attempt()
        assert refusal.metadata == {"project": "other"}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_bytes_that_are_no_message_are_refused(calls: Calls, method: MethodDescriptor) -> None:
    """A truncated message, and text that is not UTF-8, are malformed requests to every method."""
    text = next(field for field in method.input_type.fields if field.type == field.TYPE_STRING)
    tag = bytes([text.number << 3 | 2])
    for data in (tag + b"\x03\xff\xfe\xfd", tag + b"\x7fabc", b"\xff"):
        path = f"/{method.containing_service.full_name}/{method.name}"
        with refused("MALFORMED_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
            if method.server_streaming:
                next(stream_bytes(calls.channel, path)(data))
            else:
                unary_bytes(calls.channel, path)(data)


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.name != "ListProjects"], ids=lambda method: method.name
)
def test_an_empty_request_is_refused_with_a_field(calls: Calls, method: MethodDescriptor) -> None:
    """Every method says which field it misses; only the projects are listed without one."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        if method.server_streaming:
            next(stream_bytes(calls.channel, path)(b""))
        else:
            unary_bytes(calls.channel, path)(b"")
    assert refusal.metadata["field"].rsplit(".", 1)[-1] in {"name", "parent", "project_id"}


def test_a_request_of_the_wrong_type_is_refused(calls: Calls) -> None:
    """A number where text belongs does not pass as text."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT):
        unary_bytes(calls.channel, "/tallymark.v1.ModelRegistry/GetModel")(b"\x08\x07")


def test_a_message_beyond_the_limit_is_refused(calls: Calls) -> None:
    """A message of more than four mebibytes is refused, and the connection stays open."""
    with pytest.raises(grpc.RpcError) as caught:
        calls.create_model("x" * 5_000_000)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert calls.create_model("churn").create_revision == 1


def test_an_unknown_method_is_unimplemented(calls: Calls) -> None:
    """A method that is not in the contract is not served."""
    with pytest.raises(grpc.RpcError) as caught:
        unary_bytes(calls.channel, "/tallymark.v1.ModelRegistry/DropEverything")(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_an_actor_that_cannot_be_shown_is_refused(calls: Calls) -> None:
    """An actor has 1 to 255 characters, none of them invisible, as UTF-8 that is percent-encoded."""
    for actor in ("", "x" * 256, "a%0Ab", "%FF", "Zo%EB"):
        with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
            request = model_registry_pb2.CreateModelRequest(parent=PROJECT, model_id="churn")
            calls.models.CreateModel(request, metadata=(("tallymark-actor", actor),))
        assert refusal.metadata["field"] == "tallymark-actor"


@pytest.mark.parametrize("request_id", ["x" * 101, "a b", "é", "a\n"])
def test_a_request_id_is_visible_ascii(calls: Calls, request_id: str) -> None:
    """A request id has up to 100 visible ASCII characters."""
    with refused("INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        calls.create_model("churn", request_id=request_id)
    assert refusal.metadata["field"] == "request_id"


def test_health_is_reported_for_the_server_and_each_service(calls: Calls) -> None:
    """The standard health service reports that the server and each service serve."""
    stub = health_pb2_grpc.HealthStub(calls.channel)
    for name in (
        "",
        *(service.full_name for module in SERVICES for service in module.DESCRIPTOR.services_by_name.values()),
    ):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
