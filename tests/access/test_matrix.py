"""Every method of the contract, and every page and form of the dashboard, for every role: nothing can be forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode
from uuid import uuid4

import grpc
import pytest
from access.known_callers import LAB, SECRET, FixedTokens, bearer, caller, serving
from first_tokens import client_with, first_token
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_calls import DEADLINE, refusal_of, refused, stream_bytes, unary_bytes
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.routing import Mount, Route
from web.envelopes import by_grpc_web, info_of, status_of, streamed
from web.http_client import FORM, ask, call, connected

from tallymark import Client
from tallymark.testing import Server
from tallymark.types.enums import Role as GivenRole
from tallymark_server.domain.roles import ALL_PROJECTS, Role
from tallymark_server.rpc.permissions import ANY_PROJECT, permission_of
from tallymark_server.rpc.services import SERVICES
from tallymark_server.web.live import Live
from tallymark_server.web.request import AppContext
from tallymark_server.web.routes import ACTIONS, PAGES, routes_of

pytestmark = pytest.mark.timeout(600)

METHODS = [method for service in SERVICES for method in service.methods]
READS = [method for method in METHODS if method.GetOptions().idempotency_level and not method.server_streaming]
# What the door answers; whatever else is answered has passed it.
Headers = tuple[tuple[str, str], ...]
UNKNOWN, DENIED, HIDDEN = "UNAUTHENTICATED", "PERMISSION_DENIED", "PROJECT_NOT_FOUND"
REFUSALS = {UNKNOWN, DENIED, HIDDEN}
PASSED = "passed"
# The page of tokens and grants, for the admins of any project.
ACCESS = "/access"
# Fields with which the handler refuses a call that would take long, or never end.
SHORT: dict[str, dict[str, Any]] = {
    "Watch": {"afterRevision": -1},
    "Export": {"readRevision": -1},
    "Verify": {"checkpoint": {"logId": "x", "revision": 1, "hash": "x"}},
}


class Who(NamedTuple):
    """A token, the role of its caller in LAB, and the role in all projects; None for none."""

    token: str
    here: Role | None
    everywhere: Role | None
    known: bool = True


WHO = [
    Who("", None, None, known=False),
    Who("wrong", None, None, known=False),
    Who("elsewhere", None, None),
    Who("without", None, None),
    *(Who(f"{role.label}-here", role, None) for role in Role),
    *(Who(f"{role.label}-everywhere", role, role) for role in Role),
    # The higher of the two holds.
    Who("both", Role.PROMOTER, Role.READER),
]
CALLERS = {
    "elsewhere": caller("elsewhere", {"default": Role.ADMIN}),
    "without": caller("without", {}),
    "both": caller("both", {ALL_PROJECTS: Role.READER, LAB: Role.PROMOTER}),
    **{f"{role.label}-here": caller(f"{role.label}-here", {LAB: role}) for role in Role},
    **{f"{role.label}-everywhere": caller(f"{role.label}-everywhere", {ALL_PROJECTS: role}) for role in Role},
}


class Site(NamedTuple):
    """A server: its addresses, and the texts of the tokens by their names. `sessions` says whether cookies count."""

    address: str
    dashboard: str
    texts: Mapping[str, str]
    sessions: bool

    def presented(self, token: str) -> tuple[tuple[str, str], ...]:
        """Return the headers of a call with that token."""
        return bearer(self.texts.get(token, token))


@contextmanager
def fixed(folder: Path) -> Iterator[Site]:
    """Yield a server whose callers have fixed names."""
    with serving(folder, FixedTokens(CALLERS)) as running:
        yield Site(running.address, running.dashboard, {}, sessions=True)


@contextmanager
def issued(folder: Path) -> Iterator[Site]:
    """Yield a server as operators start it, whose callers have tokens that an admin has created."""
    root = first_token(folder / "tallymark.db")
    with (
        Server(folder / "tallymark.db", ("--project", LAB, "--project", SECRET), http="127.0.0.1:0") as running,
        client_with(running, root) as admin,
    ):
        texts = {name: created(admin, each.grants) for name, each in CALLERS.items()}
        yield Site(running.address, running.dashboard.rstrip("/"), texts, sessions=False)


def created(admin: Client, grants: Mapping[str, Role]) -> str:
    """Return the text of a new token with these grants."""
    name = f"t{uuid4().hex}"
    # A token has a role when it is created; that of the caller without any is taken back.
    [(project, role), *others] = grants.items() or [("default", Role.READER)]
    text = admin.access.create_token(name, role=GivenRole(role.label), projects=[project]).text
    for project, role in others:
        admin.access.add_grant(f"token:{name}", GivenRole(role.label), project)
    if not grants:
        admin.access.remove_grant(f"token:{name}", "default")
    return text


@pytest.fixture(scope="module", params=[fixed, issued], ids=["fixed", "issued"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose project LAB has a model, a version in production and a run."""
    with request.param(tmp_path_factory.mktemp("matrix")) as site:
        root = dict(site.presented("admin-everywhere"))
        churn = f"projects/{LAB}/models/churn"
        for method, asked in (
            ("ModelRegistry/CreateModel", {"parent": f"projects/{LAB}", "modelId": "churn"}),
            ("ModelRegistry/CreateModelVersion", {"parent": churn}),
            ("RunRegistry/StartRun", {"parent": f"projects/{LAB}", "runId": "train-1"}),
        ):
            answer = call(site.dashboard, method, asked, **root)
            assert answer.status == 200, answer.text
        yield site


def request_of(method: MethodDescriptor, project: str) -> Message:
    """Return a request that is about the project, and has nothing else that the method needs."""
    request: Message = ParseDict(SHORT.get(method.name, {}), GetMessageClass(method.input_type)())
    *parents, last = permission_of(method).field.split(".")
    if last not in (ANY_PROJECT, "*"):
        at: Any = request
        for parent in parents:
            at = getattr(at, parent)
        setattr(at, last, project if last == "project_id" else f"projects/{project}")
    return request


def expected(method: MethodDescriptor, who: Who) -> str:
    permission = permission_of(method)
    if not who.known:
        return UNKNOWN
    if permission.field == ANY_PROJECT:
        highest = max(CALLERS[who.token].grants.values(), default=Role.READER)
        return PASSED if highest >= permission.needs.role else DENIED
    role = who.everywhere if permission.field == "*" else who.here
    if role is not None and role >= permission.needs.role:
        return PASSED
    return HIDDEN if role is None and permission.field not in ("*", "project_id") else DENIED


def seen(reason: str) -> str:
    return reason if reason in REFUSALS else PASSED


def by_grpc(channel: grpc.Channel, method: MethodDescriptor, request: Message, headers: Headers) -> str:
    path, data = f"/{method.containing_service.full_name}/{method.name}", request.SerializeToString()
    try:
        if method.server_streaming:
            next(stream_bytes(channel, path)(data, metadata=headers, timeout=DEADLINE))
        else:
            unary_bytes(channel, path)(data, metadata=headers, timeout=DEADLINE)
    except grpc.RpcError as error:
        return refusal_of(error).reason
    return PASSED


def by_connect(url: str, method: MethodDescriptor, request: Message, headers: Headers) -> str:
    name, asked = f"{method.containing_service.name}/{method.name}", MessageToDict(request)
    if not method.server_streaming:
        answer = call(url, name, asked, **dict(headers))
        return PASSED if answer.status == 200 else str(info_of(answer.json["details"]).reason)
    _, end = streamed(url, name, asked, **dict(headers))
    return str(info_of(end["error"]["details"]).reason) if "error" in end else PASSED


def by_web(url: str, method: MethodDescriptor, request: Message, headers: Headers) -> str:
    name = f"{method.containing_service.name}/{method.name}"
    _, trailers = by_grpc_web(url, name, request, **dict(headers))
    if trailers["grpc-status"] == "0":
        return PASSED
    info = ErrorInfo()
    assert status_of(trailers).details[0].Unpack(info)
    return str(info.reason)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_lets_in_whom_its_role_lets_in(server: Site, method: MethodDescriptor) -> None:
    """By gRPC, Connect and gRPC-Web alike, a method answers callers with its role, and refuses all others."""
    request = request_of(method, LAB)
    with grpc.insecure_channel(server.address) as channel:
        found = {
            who.token: (
                seen(by_grpc(channel, method, request, server.presented(who.token))),
                seen(by_connect(server.dashboard, method, request, server.presented(who.token))),
                seen(by_web(server.dashboard, method, request, server.presented(who.token))),
            )
            for who in WHO
        }
    assert found == {who.token: (expected(method, who),) * 3 for who in WHO}


@pytest.mark.parametrize("method", READS, ids=lambda method: method.name)
def test_reads_by_get_need_the_same_role(server: Site, method: MethodDescriptor) -> None:
    """A read that is requested by GET is refused to the same callers as by POST."""
    message = json.dumps(MessageToDict(request_of(method, LAB)))
    query = urlencode({"connect": "v1", "encoding": "json", "message": message})
    path = f"/{method.containing_service.full_name}/{method.name}?{query}"
    for who in WHO:
        answer = ask(server.dashboard, path, **dict(server.presented(who.token)))
        reason = PASSED if answer.status == 200 else seen(info_of(answer.json["details"]).reason)
        assert reason == expected(method, who), who


class Address(NamedTuple):
    """A page or a form: its path as routes have it, the verb, and the role that it needs; None for any caller."""

    path: str
    verb: str
    needs: Role | None


def addresses() -> list[Address]:
    """Return every page and form that the dashboard serves to callers, as its routes list them."""
    found = []
    for route in routes_of(cast("AppContext", None), cast("Live", None)):
        if isinstance(route, Mount):
            if route.path == "/static":
                continue
            assert route.path == "/projects/{project}"
            found += [(each.path, verb) for each in cast("list[Route]", route.routes) for verb in verbs(each)]
        else:
            found += [(cast("Route", route).path, verb) for verb in verbs(cast("Route", route))]
    return [Address(path, verb, needs(path, verb)) for path, verb in sorted(set(found)) if path != "/favicon.ico"]


def verbs(route: Route) -> list[str]:
    return sorted((route.methods or set()) - {"HEAD"})


def needs(path: str, verb: str) -> Role | None:
    """Return the role that a page needs: that of the method which does the same, or to read. Fails for a new page."""
    if path in ACTIONS:
        [method] = [method for method in METHODS if method.name == ACTIONS[path].method]
        return permission_of(method).needs.role
    if path == "/projects":
        return Role.ADMIN if verb == "POST" else None
    if path == ACCESS:
        return Role.ADMIN
    assert path in PAGES or path in ("/settings", "/models", "/live"), f"{path} needs a role in this test"
    return Role.READER


def filled(path: str) -> str:
    """Return the address of the page in LAB, as JSON, about things that are there."""
    for part, value in (("{model}", "churn"), ("{number:int}", "1"), ("{reference}", "1"), ("{run}", "train-1")):
        path = path.replace(part, value)
    if path in ("/projects", ACCESS):
        return path + ".json"
    return f"/projects/{LAB}/models.json" if path == "/" else f"/projects/{LAB}{path}.json"


def visited(url: str, address: str, verb: str, **headers: str) -> tuple[int, str]:
    """Return the status of a page, and the reason in its JSON. An open stream is not read."""
    body = "name=lab&theme=dark&actor=x" if verb == "POST" else ""
    with connected(url) as connection:
        connection.request(verb, address, body=body, headers={**({"content-type": FORM} if body else {}), **headers})
        response = connection.getresponse()
        if response.headers["content-type"] != "application/json":
            return response.status, PASSED
        found = json.loads(response.read())
        return response.status, seen(found["reason"] if isinstance(found, dict) and "reason" in found else "")


@pytest.mark.parametrize("address", addresses(), ids=lambda each: f"{each.verb} {each.path}")
def test_every_page_and_form_lets_in_whom_its_role_lets_in(server: Site, address: Address) -> None:
    """A page answers those who may read its project, a form those who may call its method, and nobody else."""
    statuses = {UNKNOWN: 401, DENIED: 403, HIDDEN: 404}
    for who in WHO:
        due = expected_at(address, who)
        ways = [dict(server.presented(who.token))]
        if server.sessions:
            ways.append({"cookie": f"tallymark_session={who.token}", "sec-fetch-site": "same-origin"})
        for headers in ways:
            status, reason = visited(server.dashboard, filled(address.path), address.verb, **headers)
            assert reason == due, (who, status)
            assert status == statuses.get(due, status), who
            page = filled(address.path).removesuffix(".json").removesuffix("models")
            if due != PASSED:
                assert visited(server.dashboard, page, address.verb, **headers)[0] == status, "also as a page"


def expected_at(address: Address, who: Who) -> str:
    if not who.known:
        return UNKNOWN
    if address.needs is None or (who.here is not None and who.here >= address.needs):
        return PASSED
    if address.path == ACCESS and Role.ADMIN in CALLERS[who.token].grants.values():
        return PASSED
    return HIDDEN if who.here is None and address.path not in ("/projects", ACCESS) else DENIED


def test_what_is_not_there_is_not_there_for_the_unknown_either(server: Site) -> None:
    """Who is not known learns from no address whether there is a page."""
    for path in ("/nothing", "/models/churn/nothing", "/projects/lab/nothing", f"/projects/{SECRET}/"):
        assert ask(server.dashboard, path).status == 401
        assert ask(server.dashboard, f"{path}?q=1", hx_request="true").status == 401
    for path in (
        "/sign-inx",
        "/sign-outs",
        "/sign-in.json",
        "/static",
        "/favicon.icon",
        "/favicon.ico/Method",
        "//sign-in",
    ):
        assert ask(server.dashboard, path).status == 401, path
    for path in ("/static/../access", "/static/%2e%2e/access", "/sign-in/../access", "/sign-in/%2e%2e%2faccess.json"):
        assert ask(server.dashboard, path).status == 404, path


def test_what_anybody_may_see(server: Site) -> None:
    """Without a token there are the health of the server and the style of its pages, and nothing else."""
    for path in ("/healthz", "/readyz", "/static/tallymark.css", "/favicon.ico"):
        assert ask(server.dashboard, path).status in (200, 301)
    with grpc.insecure_channel(server.address) as channel:
        assert unary_bytes(channel, "/grpc.health.v1.Health/Check")(b"", timeout=DEADLINE)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        with refused(UNKNOWN):
            next(stub.ServerReflectionInfo(iter([asked]), timeout=DEADLINE))
        assert next(stub.ServerReflectionInfo(iter([asked]), metadata=server.presented("without"), timeout=DEADLINE))


def test_a_header_that_is_no_bearer_token_is_refused(server: Site) -> None:
    """A caller with another scheme is not known, and the refusal says which form the header has."""
    for header in ("Basic cm9vdDpyb290", "Bearer", "Bearer ", "admin-everywhere"):
        answer = call(server.dashboard, "ModelRegistry/ListProjects", {}, authorization=header)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Bearer TOKEN" in answer.json["message"]


def test_methods_take_no_session(server: Site) -> None:
    """A browser cannot be led to call a method by the cookie of its session."""
    answer = call(
        server.dashboard,
        "ModelRegistry/ListProjects",
        {},
        cookie="tallymark_session=admin-everywhere",
        sec_fetch_site="same-origin",
    )
    assert answer.status == 401
