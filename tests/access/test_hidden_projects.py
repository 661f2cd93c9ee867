"""A project that a caller may not read does not exist for that caller, wherever it is looked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from access.known_callers import LAB, MISSING, SECRET, FixedTokens, bearer, caller, serving
from access.test_matrix import METHODS, addresses, filled, request_of
from google.protobuf.descriptor import MethodDescriptor
from grpc_calls import DEADLINE, Refusal, refusal_of, stream_bytes, unary_bytes
from web.http_client import FORM, Answer, ask, call

from tallymark_server.domain.roles import ALL_PROJECTS
from tallymark_server.app import Running
from tallymark_server.domain.roles import Role
from tallymark_server.rpc.permissions import ANY_PROJECT, permission_of

pytestmark = pytest.mark.timeout(600)

CALLERS = {
    "limited": caller("limited", {LAB: Role.ADMIN}),
    # Of a project that is not there any more, or not yet.
    "early": caller("early", {LAB: Role.READER, MISSING: Role.ADMIN}),
    "root": caller("root", {ALL_PROJECTS: Role.ADMIN}),
}
ABOUT_PROJECTS = [method for method in METHODS if permission_of(method).field not in (ANY_PROJECT, "*", "project_id")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose projects LAB and SECRET have a model each, which SECRET has promoted."""
    with serving(tmp_path_factory.mktemp("hidden"), FixedTokens(CALLERS)) as running:
        for project in (LAB, SECRET):
            made = call_as(running, "root", "ModelRegistry/CreateModel", parent=f"projects/{project}", modelId="churn")
            assert made.status == 200
        yield running


def call_as(server: Running, token: str, method: str, **request: Any) -> Answer:
    return call(server.dashboard, method, request, **dict(bearer(token)))


def refusal(channel: grpc.Channel, method: MethodDescriptor, project: str) -> tuple[Any, ...]:
    """Return all that the refusal of a request about the project says, with the project's name left out."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    data, headers = request_of(method, project).SerializeToString(), bearer("limited")
    found = Refusal()
    try:
        if method.server_streaming:
            next(stream_bytes(channel, path)(data, metadata=headers, timeout=DEADLINE))
        else:
            unary_bytes(channel, path)(data, metadata=headers, timeout=DEADLINE)
    except grpc.RpcError as error:
        found = refusal_of(error)
    details = [type(detail)(type_url=detail.type_url) for detail in found.status.details]
    told = {key: value.replace(project, "PROJECT") for key, value in found.metadata.items()}
    return found.code, found.reason, found.message.replace(project, "PROJECT"), told, details


@pytest.mark.parametrize("method", ABOUT_PROJECTS, ids=lambda method: method.name)
def test_a_hidden_project_is_refused_as_a_missing_one(server: Running, method: MethodDescriptor) -> None:
    """Code, reason, message and details are the same for a project that is there and for one that is not."""
    with grpc.insecure_channel(server.address) as channel:
        hidden, missing = refusal(channel, method, SECRET), refusal(channel, method, MISSING)
    assert hidden == missing
    assert hidden[1] == "PROJECT_NOT_FOUND"


@pytest.mark.parametrize(
    "address", [each for each in addresses() if filled(each.path).startswith(f"/projects/{LAB}/")], ids=str
)
def test_a_hidden_page_is_refused_as_a_missing_one(server: Running, address: Any) -> None:
    """A page and a form of a hidden project answer as those of a project that is not there, in full."""

    def answer(project: str, *, as_json: bool) -> tuple[int, bytes, dict[str, str]]:
        path = filled(address.path).replace(f"/projects/{LAB}", f"/projects/{project}")
        path = path if as_json else path.removesuffix(".json").removesuffix("models")
        body = ("request_id=x", {"content_type": FORM}) if address.verb == "POST" else ("", {})
        found = ask(server.dashboard, path, address.verb, body[0], **body[1], **dict(bearer("limited")))
        headers = {name: value for name, value in found.headers.items() if name != "content-length"}
        return found.status, found.body.replace(project.encode(), b"PROJECT"), headers

    for as_json in (True, False):
        assert answer(SECRET, as_json=as_json) == answer(MISSING, as_json=as_json)
        assert answer(SECRET, as_json=as_json)[0] == 404


def test_a_hidden_project_is_in_no_list(server: Running) -> None:
    """The list of projects, its pages, the dashboard and its menu have what the caller may read, and nothing else."""

    def listed(token: str, **request: Any) -> list[str]:
        found = call_as(server, token, "ModelRegistry/ListProjects", **request).json
        return [project["name"].removeprefix("projects/") for project in found.get("projects", [])]

    assert listed("root") == ["default", LAB, SECRET]
    assert listed("limited") == [LAB]
    assert listed("early") == [LAB], "a grant does not create a project"
    first = call_as(server, "early", "ModelRegistry/ListProjects", pageSize=1).json
    assert "nextPageToken" not in first
    headers = dict(bearer("limited"))
    assert [each["name"] for each in ask(server.dashboard, "/projects.json", **headers).json["projects"]] == [
        f"projects/{LAB}"
    ]
    for path in ("/projects", f"/projects/{LAB}/", f"/projects/{LAB}/settings", f"/projects/{LAB}/activity"):
        page = ask(server.dashboard, path, **headers)
        assert page.status == 200
        assert SECRET not in page.text
        assert "default" not in re.sub(r"default-src|/default|as_default", "", page.text)


def test_the_start_page_leads_to_a_project_that_may_be_read(server: Running) -> None:
    """Who may not read the project `default` is led from the start page to another one."""
    answer = ask(server.dashboard, "/", **dict(bearer("limited")))
    assert (answer.status, answer.headers["location"]) == (303, f"/projects/{LAB}/")


def test_other_names_in_a_request_reveal_nothing(server: Running) -> None:
    """A request that also names a hidden project is refused for that, whether the project is there or not."""
    lab = f"projects/{LAB}"

    def refused(project: str) -> list[str]:
        other = f"projects/{project}/models/churn"
        answers = [
            call_as(server, "limited", "RunRegistry/ListRuns", parent=lab, modelVersion=f"{other}/versions/1"),
            call_as(server, "limited", "EventLog/ListEvents", parent=lab, name=other),
            call_as(
                server,
                "limited",
                "ModelRegistry/EnsureModelVersion",
                parent=lab,
                config={"model": "churn"},
                run=f"projects/{project}/runs/x",
            ),
        ]
        assert {answer.status for answer in answers} == {400}
        return [json.dumps(answer.json["message"]).replace(project, "PROJECT") for answer in answers]

    assert refused(SECRET) == refused(MISSING)


def test_a_project_is_created_by_whom_its_name_is_granted_to(server: Running) -> None:
    """An admin of a name may create that project, and learns nothing about other names, which are denied alike."""
    for project in (SECRET, "another"):
        answer = call_as(server, "limited", "ModelRegistry/CreateProject", projectId=project)
        assert answer.status == 403
        assert project in answer.json["message"]
    assert call_as(server, "early", "ModelRegistry/CreateProject", projectId=MISSING).status == 200
