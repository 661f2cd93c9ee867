"""The methods of the contract over plain HTTP, as curl and Connect clients call them."""

from __future__ import annotations

import json
import subprocess

import pytest
from rpc.test_proofs import batch, children_of, until
from web.http_client import ask, call, connected
from grpc_calls import Calls
from google.protobuf.json_format import MessageToDict

from system_programs import program
from tallymark.testing import Server
from tallymark.v1 import event_log_pb2, model_pb2, model_registry_pb2, run_registry_pb2

pytestmark = pytest.mark.timeout(600)


def test_curl_gets_what_grpc_gets(server: Server, calls: Calls) -> None:
    """A call as JSON has the effect and the response of the same call over gRPC, and its actor is recorded."""
    created = call(
        server.dashboard,
        "ModelRegistry/CreateModel",
        {"parent": "projects/default", "modelId": "churn", "model": {"tags": ["a"]}},
        tallymark_actor="ana",
    )
    assert (created.status, created.headers["content-type"]) == (200, "application/json")
    assert created.json == MessageToDict(calls.model("churn"))
    assert created.json["creator"] == "ana"


def test_curl_itself_calls(server: Server, calls: Calls) -> None:
    """The real curl creates a version and reads it, and fails on a refusal, with the reason in the body."""
    calls.create_model("churn")
    program_ = program("curl", packages=("curl",))

    def curl(method: str, body: str) -> subprocess.CompletedProcess[str]:
        address = f"{server.dashboard}tallymark.v1.ModelRegistry/{method}"
        command = [
            program_,
            "--silent",
            "--fail-with-body",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
            address,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    made = curl("CreateModelVersion", '{"parent": "projects/default/models/churn"}')
    assert (made.returncode, json.loads(made.stdout)) == (0, MessageToDict(calls.version("churn", "1")))
    read = curl("GetModelVersion", '{"name": "projects/default/models/churn/versions/latest"}')
    assert json.loads(read.stdout) == json.loads(made.stdout)
    refused = curl("GetModelVersion", '{"name": "projects/default/models/churn/versions/9"}')
    assert refused.returncode == 22
    assert json.loads(refused.stdout)["code"] == "not_found"


def test_protobuf_is_taken_too(server: Server, calls: Calls) -> None:
    """The same path accepts and returns the messages in their binary form."""
    calls.create_model("churn")
    request = model_registry_pb2.CreateModelVersionRequest(parent="projects/default/models/churn")
    answer = ask(
        server.dashboard,
        "/tallymark.v1.ModelRegistry/CreateModelVersion",
        "POST",
        request.SerializeToString(),
        content_type="application/proto",
    )
    assert (answer.status, answer.headers["content-type"]) == (200, "application/proto")
    assert model_pb2.ModelVersion.FromString(answer.body) == calls.version("churn", "1")


@pytest.mark.parametrize(
    ("method", "request_", "status", "code"),
    [
        ("ModelRegistry/GetModel", {"name": "projects/default/models/x"}, 404, "not_found"),
        ("ModelRegistry/GetModel", {"name": "x"}, 400, "invalid_argument"),
        ("ModelRegistry/GetModel", {"nome": "x"}, 400, "invalid_argument"),
        ("ModelRegistry/CreateModel", {"parent": "projects/default", "modelId": "churn"}, 409, "already_exists"),
        ("ModelRegistry/UndeleteModel", {"name": "projects/default/models/churn"}, 400, "failed_precondition"),
        ("EventLog/ListEvents", {"parent": "projects/default", "afterRevision": "99"}, 400, "out_of_range"),
        ("EventLog/Watch", {"parent": "projects/default"}, 415, "unimplemented"),
        ("EventLog/Export", {"parent": "projects/default"}, 415, "unimplemented"),
        ("EventLog/Verify", {"parent": "projects/none"}, 404, "not_found"),
        ("ModelRegistry/Nothing", {}, 501, "unimplemented"),
    ],
)
def test_refusals_are_those_of_the_protocol(
    standing: Server, method: str, request_: dict[str, str], status: int, code: str
) -> None:
    """A refused call has the code, the sentence and the status of the Connect protocol."""
    answer = call(standing.dashboard, method, request_)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"name": 7}', b"\xff", b'{"name": "\\ud800"}', b'{"keys": "\\ud800"}', b"[" * 100_000]
)
def test_no_body_is_an_incident(standing: Server, body: bytes) -> None:
    """No JSON in a request causes an incident."""
    answer = ask(
        standing.dashboard,
        "/tallymark.v1.ModelRegistry/ListMetricPoints",
        "POST",
        body,
        content_type="application/json",
    )
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")


def test_forms_of_other_sites_cannot_call(standing: Server) -> None:
    """The content types that a form of any site can send without a preflight request are refused."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ask(standing.dashboard, "/tallymark.v1.ModelRegistry/GetModel", "POST", "{}", content_type=kind)
        assert answer.status == 415
        assert "Content-Type: application/json" in answer.text


def test_every_method_of_the_contract_is_there(standing: Server) -> None:
    """Every method is served over HTTP too, except streams."""
    modules = (model_registry_pb2, run_registry_pb2, event_log_pb2)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    methods = [method for service in services for method in service.methods if not method.server_streaming]
    assert len(methods) > 20
    for method in methods:
        answer = ask(
            standing.dashboard,
            f"/{method.containing_service.full_name}/{method.name}",
            "POST",
            "{}",
            content_type="application/json",
        )
        if method.name == "ListProjects":
            assert answer.json["projects"][0]["name"] == "projects/default"
            continue
        assert (answer.status, answer.json["code"]) == (400, "invalid_argument"), method.full_name


def test_a_call_ends_when_its_caller_leaves(server: Server, calls: Calls) -> None:
    """A call ends when its caller leaves, as over gRPC."""
    calls.create_model("churn")
    batch(calls, 20_000)
    with connected(server.dashboard) as connection:
        body, kind = json.dumps({"parent": "projects/default"}), {"content-type": "application/json"}
        connection.request("POST", "/tallymark.v1.EventLog/Verify", body=body, headers=kind)
        until(lambda: bool(children_of(server)), calls)
    until(lambda: not children_of(server), calls)
    answer = call(server.dashboard, "EventLog/Verify", {"parent": "projects/default"})
    assert (answer.status, answer.json["events"]) == (200, "20001")
