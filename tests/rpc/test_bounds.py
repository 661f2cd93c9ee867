"""Every request is bounded: any value in any field is answered in time, with a status that names the bound."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from attacks.requests import METHODS, MODEL, RUN, VERSION, VALID_REQUESTS, Attack, attacks
from bench.hostile import peak_memory_mb
from grpc_calls import DEADLINE, PROJECT, Calls, refusal_of, refused, stream_bytes, unary_bytes
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from web.http_client import Answer, call, connected

from tallymark.testing import Server
from tallymark.v1.event_log_pb2 import ListEventsRequest
from tallymark.v1.event_pb2 import EVENT_KIND_MODEL_CREATED
from tallymark.v1.metric_pb2 import ListMetricPointsRequest, MetricPoint
from tallymark.v1.model_pb2 import MetadataValue, ModelVersion
from tallymark.v1.model_registry_pb2 import (
    BatchCreateModelVersionsRequest,
    CreateModelVersionRequest,
    LogMetadataRequest,
)
from tallymark.v1.run_pb2 import RecordingProblem
from tallymark.v1.run_registry_pb2 import ReportRecordingProblemsRequest
from tallymark_server.domain.errors import ValueTooLarge
from tallymark_server.rpc.bounds import Bounds
from tallymark_server.rpc.bounds import MAX_BATCH, MAX_CHANGE, MAX_CUT, MAX_READ

# Statuses of requests that were understood: the value was legal, or the resource that it names does not exist.
UNDERSTOOD = {"OK", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED"}
# Longer texts of these fields are cut.
CUT = {"error", "command", "subject", "problem"}
# The seconds that no request may take, on any machine; the bench of hostile requests measures the real ones.
PATIENCE = 30.0
# Large enough for any bound of a field, and small enough for any method.
SIZE = 260_000
JSON_SIZE, LONG_TEXT = 30_000, 70_000


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the model `churn`, its version 1, and the run `r1`."""
    with Server(tmp_path_factory.mktemp("standing") / "tallymark.db", http="127.0.0.1:0") as running:
        with grpc.insecure_channel(running.address) as channel:
            made = Calls(channel)
            made.create_model("churn")
            made.create_version("churn")
            made.start_run("r1")
        yield running


@pytest.fixture(scope="module")
def channel(standing: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(standing.address) as opened:
        yield opened


def names(attack: Attack) -> set[str]:
    """Return the names that a refusal may give to the attacked field: its own, or that of the facts around it."""
    # For a field of a mask, the mask is named.
    inner = {"value", "list", "text", "uri"} | ({"paths"} if len(attack.path) > 1 else set())
    found = {field.name for field in attack.path} - inner
    return {"request", "metadata", *found} if attack.path[-1].name in ("value", "list", "text", "uri") else found


def check_named(attack: Attack, details: Mapping[str, str], message: str) -> None:
    """Check that the refusal names the attacked field, or the whole request, and its bound if it is too large."""
    field = details.get("field", "")
    named = set(re.split(r"[\[ ]", field)[0].split("."))
    assert named & {*names(attack), "request"}, (attack.kind, attack.field, field, message)
    assert (details["reason"] == "VALUE_TOO_LARGE") == ("limit" in details)


def over_grpc(channel: grpc.Channel, attack: Attack) -> tuple[str, dict[str, str], str]:
    """Return the status of the response, the metadata of the reason, and the message."""
    try:
        if attack.method.server_streaming:
            next(stream_bytes(channel, attack.url)(attack.data(), timeout=DEADLINE))
        else:
            unary_bytes(channel, attack.url)(attack.data(), timeout=DEADLINE)
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        return refusal.code.name, {"reason": refusal.reason, **refusal.metadata}, refusal.message
    return "OK", {}, ""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_hostile_field_is_refused_by_its_name(channel: grpc.Channel, method: MethodDescriptor) -> None:
    """Long texts, marks, nulls, long lists and deep nesting in any field are refused over gRPC with its name."""
    seen = 0
    for attack in attacks(method, SIZE):
        started = time.monotonic()
        code, details, message = over_grpc(channel, attack)
        assert time.monotonic() - started < PATIENCE, (attack.kind, attack.field)
        if attack.kind == "null character":
            assert (code, details["reason"]) == ("INVALID_ARGUMENT", "INVALID_FIELD"), (attack.field, message)
            assert "U+0000" in message
        else:
            legal = attack.path[-1].name in CUT and code in UNDERSTOOD
            assert legal or code == "INVALID_ARGUMENT", (attack.kind, attack.field, code, message)
        if code == "INVALID_ARGUMENT":
            check_named(attack, details, message)
        seen += 1
    assert seen > 2


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_hostile_field_is_refused_over_http_too(standing: Server, method: MethodDescriptor) -> None:
    """The same values in JSON, which takes longer to parse, are refused over one connection that stays open."""
    if method.server_streaming:
        return
    with connected(standing.dashboard) as connection:
        for attack in (*attacks(method, JSON_SIZE), *texts(method)):
            started = time.monotonic()
            connection.request("POST", attack.url, attack.json(), {"content-type": "application/json"})
            answer = Answer(connection.getresponse())
            assert time.monotonic() - started < PATIENCE, (attack.kind, attack.field)
            assert answer.status in (200, 400, 404, 409), (attack.kind, attack.field, answer.text)
            if answer.status == 400:
                check_named(attack, details_of(answer), answer.json["message"])
            if attack.kind == "null character":
                assert answer.status == 400
                assert "U+0000" in answer.json["message"], attack.field


def texts(method: MethodDescriptor) -> Iterator[Attack]:
    return (attack for attack in attacks(method, LONG_TEXT) if attack.kind in ("long text", "combining marks"))


def details_of(answer: Answer) -> dict[str, str]:
    packed = answer.json["details"][0]["value"]
    info = ErrorInfo.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    return {"reason": info.reason, **info.metadata}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_request_is_refused_as_a_whole_by_its_length(channel: grpc.Channel, method: MethodDescriptor) -> None:
    """Four megabytes are refused before they are decoded, by the bound of the method."""
    last = [attack for attack in attacks(method) if attack.kind != "null character"][-1]
    code, details, message = over_grpc(channel, last)
    assert (code, details["reason"]) == ("INVALID_ARGUMENT", "VALUE_TOO_LARGE"), message
    changes, batch = "request_id" in method.input_type.fields_by_name, method.name.startswith("Batch")
    bound = (MAX_BATCH if batch else MAX_CHANGE) if changes else MAX_READ
    assert (details["field"], int(details["limit"])) == ("request", bound)


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("field", "limit", "request_"),
    [
        ("keys", 1000, ListMetricPointsRequest(parent=VERSION, keys=[""] * 1001)),
        ("kinds", 1000, ListEventsRequest(parent=PROJECT, kinds=[EVENT_KIND_MODEL_CREATED] * 1001)),
        ("delete_keys", 1000, LogMetadataRequest(name=VERSION, delete_keys=[""] * 1001)),
        ("problems", 1000, ReportRecordingProblemsRequest(name=RUN, problems=[RecordingProblem()] * 1001)),
        ("points", 1000, LogMetadataRequest(name=VERSION, points=[MetricPoint()] * 1001)),
        ("model_versions", 1000, BatchCreateModelVersionsRequest(
            parent=MODEL, model_versions=[ModelVersion()] * 1001)),
        ("model_version.tags", 100, CreateModelVersionRequest(
            parent=MODEL, model_version=ModelVersion(tags=["a"] * 101))),
        ("model_version.metadata", 21_845, big := CreateModelVersionRequest(parent=MODEL)),
        ("model_version.description", 65_535, CreateModelVersionRequest(
            parent=MODEL, model_version=ModelVersion(description="é" * 32_768))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_refusal_says_the_bound(calls: Calls, field: str, limit: int, request_: Message) -> None:
    """A refusal has the field, its size and its bound, in the message and as keys of the reason."""
    if request_ is big:
        facts = big.model_version.metadata["flags"].list
        facts.values.extend([MetadataValue(flag=True)] * 21_846)
    method = next(each for each in METHODS if each.input_type.full_name == request_.DESCRIPTOR.full_name)
    path = f"/{method.containing_service.full_name}/{method.name}"
    with refused("VALUE_TOO_LARGE", grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        unary_bytes(calls.channel, path)(request_.SerializeToString(), timeout=DEADLINE)
    assert refusal.metadata == {"field": field, "limit": str(limit)}
    assert f"takes at most {limit:,}" in refusal.message


def test_a_compressed_request_is_read(standing: Server) -> None:
    """A request that is compressed with gzip, short or long, has the response of the same plain request."""
    with grpc.insecure_channel(standing.address, compression=grpc.Compression.Gzip) as channel:
        made = Calls(channel)
        made.create_model("compressed", description="x" * 65_535, metadata={"a": MetadataValue(text="x" * 30_000)})
        made.create_model("also_compressed", description="x" * 20_000)
        assert made.model("compressed").description == "x" * 65_535
        assert len(made.model("also_compressed").description) == 20_000


@pytest.mark.parametrize("size", [MAX_CHANGE + 1, 100_000_000])
def test_a_compressed_request_is_bounded_by_what_it_becomes(standing: Server, size: int) -> None:
    """100 kB that decompress to 100 MB are refused, and no more than the method's bound is ever decompressed."""
    before = peak_memory_mb(standing)
    with (
        grpc.insecure_channel(standing.address, compression=grpc.Compression.Gzip) as channel,
        refused("VALUE_TOO_LARGE", grpc.StatusCode.INVALID_ARGUMENT) as refusal,
    ):
        unary_bytes(channel, "/tallymark.v1.ModelRegistry/CreateModel")(bytes(size), timeout=DEADLINE)
    assert int(refusal.metadata["limit"]) == MAX_CHANGE
    assert peak_memory_mb(standing) - before < 32


def test_json_has_no_longer_text_than_any_field_takes(standing: Server) -> None:
    """A text of megabytes is refused before it is searched, anywhere in the body, whatever else is wrong."""
    for body in (
        {"parent": PROJECT, "modelId": "m", "model": {"description": "x" * (MAX_CUT + 1)}},
        {"parent": PROJECT, "modelId": "m", "model": {"x" * (MAX_CUT + 1): 1}},
        {"parent": PROJECT, "modelId": "m", "model": {"tags": ["a", "x" * (MAX_CUT + 1)]}},
    ):
        answer = call(standing.dashboard, "ModelRegistry/CreateModel", body)
        assert answer.status == 400
        assert details_of(answer) == {
            "reason": "VALUE_TOO_LARGE", "field": "request", "limit": str(MAX_CUT),
        }  # fmt: skip


def test_what_is_as_large_as_it_may_be_is_taken(calls: Calls) -> None:
    """Values exactly at a bound are accepted: a full description, full tags, and a request for a thousand keys."""
    calls.create_model("churn", description="x" * 65_535, tags=[f"{number:03}" for number in range(100)])
    made = calls.create_version("churn", description="é" * 32_767, tags=[f"{number:03}" for number in range(100)])
    assert len(made.tags) == 100
    request = ListMetricPointsRequest(parent=VERSION, keys=[f"{number}" for number in range(1000)])
    assert calls.models.ListMetricPoints(request, timeout=DEADLINE).points == []


def test_small_requests_do_not_add_up_to_a_large_file(server: Server, calls: Calls) -> None:
    """Aliases are refused once a version is full, so that not every event becomes larger than the one before."""
    calls.create_model("churn")
    calls.create_version("churn")
    taken = 0
    with refused("LIMIT_REACHED", grpc.StatusCode.FAILED_PRECONDITION) as refusal:
        for taken in range(300):
            calls.set_alias("churn", 1, f"{taken:03}" + "x" * 250)
    assert taken == 100
    assert refusal.metadata == {"field": "alias", "limit": "100", "remedy": "delete one that is no longer needed"}
    assert len(calls.version("churn", "1").aliases) == 100
    calls.delete_alias("churn", "000" + "x" * 250)
    calls.set_alias("churn", 1, "champion")
    assert calls.version("churn", "@champion").number == 1


def test_the_contract_says_what_each_method_wants() -> None:
    """Every method is attacked: whoever adds one must add a plain request to it."""
    assert {method.name for method in METHODS} == VALID_REQUESTS.keys()


def test_a_request_without_fields_is_bounded_as_a_whole() -> None:
    """A method whose request has no fields, such as the list of health, accepts an empty request, and no long one."""
    file = descriptor_pb2.FileDescriptorProto(name="nothing.proto", package="nothing", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Service")
    service.method.add(name="List", input_type=".nothing.Nothing", output_type=".nothing.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    bounds = Bounds(pool.FindServiceByName("nothing.Service").methods_by_name["List"])
    bounds.check(b"")
    with pytest.raises(ValueTooLarge, match="request"):
        bounds.check(b"x" * (bounds.limit + 1))
