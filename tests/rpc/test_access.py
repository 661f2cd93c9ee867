"""Tokens, service accounts and grants over real channels to a real server."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_calls import refused
from first_tokens import client_with, first_token

from tallymark import AsyncClient, Client, errors
from tallymark.credentials import presenting
from tallymark.testing import Server
from tallymark.types.access import Grant
from tallymark.types.enums import Role
from tallymark.v1 import access_pb2, role_pb2
from tallymark.v1.access_pb2_grpc import AccessStub
from tallymark_server.access.book import AccessBook
from tallymark_server.domain.access.commands import CreateServiceAccount
from tallymark_server.storage.sqlite.access_file import open_access_file


@pytest.fixture
def root(tmp_path: Path) -> str:
    """The token of an admin of all projects."""
    return first_token(tmp_path / "tallymark.db")


@pytest.fixture
def guarded(tmp_path: Path, root: str) -> Iterator[Server]:
    """A server with access control and two projects."""
    with Server(tmp_path / "tallymark.db", ("--project", "lab", "--project", "shop")) as running:
        yield running


@pytest.fixture
def admin(guarded: Server, root: str) -> Iterator[Client]:
    """A client that may do everything."""
    with client_with(guarded, root) as client:
        yield client


class Waited:
    """`AsyncClient.access`, called from a program without an event loop."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __getattr__(self, name: str) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(self._call(name, args, kwargs))

        return called

    async def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        async with AsyncClient(self._address) as client:
            called = getattr(client.access, name)(*args, **kwargs)
            return [item async for item in called] if hasattr(called, "__aiter__") else await called


@pytest.fixture(params=["blocking", "asyncio"])
def access(request: pytest.FixtureRequest, guarded: Server, root: str) -> Iterator[Any]:
    """What an admin calls, by both clients."""
    with presenting(root), Client(guarded.address) as client:
        yield client.access if request.param == "blocking" else Waited(guarded.address)


def test_tokens_are_created_listed_rotated_and_revoked(access: Any) -> None:
    """Both clients have every method about tokens, and return what the others show."""
    new = access.create_token("ci", role=Role.WRITER, projects=["lab", "shop"], expires=timedelta(days=2))
    token = new.token
    assert (token.name, token.member, token.creator) == ("ci", "token:ci", "root")
    assert token.roles == {"lab": Role.WRITER, "shop": Role.WRITER}
    assert timedelta(days=1) < token.expire_time - datetime.now(UTC) < timedelta(days=2, hours=1)
    assert new.text.startswith(f"tmk_{token.id}_")
    assert new.text not in repr(new)
    assert [each.name for each in access.list_tokens()] == ["ci", "root"]
    rotated = access.rotate_token("ci", overlap=timedelta(hours=1))
    assert rotated.text != new.text
    assert rotated.token.create_time == token.create_time < rotated.token.rotate_time
    assert access.revoke_token("ci").name == "ci"
    assert [each.name for each in access.list_tokens()] == ["root"]


def test_grants_and_service_accounts_are_managed(access: Any) -> None:
    """Both clients have every method about grants and service accounts."""
    account = access.create_service_account("bot", projects=["lab"], role=Role.READER)
    assert (account.name, account.projects, account.roles) == ("bot", ("lab",), {"lab": Role.READER})
    granted = access.add_grant("bot", Role.PROMOTER, "lab")
    assert granted == Grant(member="service-account:bot", project="lab", role=Role.PROMOTER)
    assert access.add_grant("ann@example.com", Role.ADMIN, "*").member == "user:ann@example.com"
    assert list(access.list_grants("bot")) == [granted]
    assert len(list(access.list_grants())) == 3
    token = access.create_token("bot-1", service_account="bot", never_expires=True).token
    assert (token.member, token.expire_time, token.roles) == ("service-account:bot", None, {"lab": Role.PROMOTER})
    assert access.remove_grant("user:ann@example.com", "*").role is Role.ADMIN
    assert [each.name for each in access.list_service_accounts()] == ["bot"]
    assert access.delete_service_account("bot").name == "bot"
    assert [each.name for each in access.list_tokens()] == ["root"]


def test_a_caller_learns_who_it_is(admin: Client, guarded: Server) -> None:
    """Every known caller can read its own name, kind and roles."""
    new = admin.access.create_token("ci", role=Role.READER, projects=["lab"])
    with client_with(guarded, new.text, "lab") as client:
        caller = client.access.caller()
    assert (caller.name, caller.kind, caller.roles) == ("ci", "token", {"lab": Role.READER})
    assert caller.access_control


def test_a_token_may_do_what_its_role_allows(admin: Client, guarded: Server) -> None:
    """A reader reads its project and changes nothing, and other projects do not exist for it."""
    new = admin.access.create_token("ci", role=Role.READER, projects=["lab"])
    with client_with(guarded, new.text, "lab") as client:
        assert list(client.list_models()) == []
        with pytest.raises(errors.PermissionDenied):
            client.create_model("churn")
        with pytest.raises(errors.ProjectNotFound):
            client.get_project("shop")
        assert [each.name for each in client.list_projects()] == ["lab"]
        admin.access.add_grant("ci", Role.WRITER, "lab")
        assert client.create_model("churn").creator == "ci"


def test_unknown_callers_are_refused_alike(guarded: Server, admin: Client) -> None:
    """Calls with unknown, revoked, malformed and foreign tokens are refused in the same words."""
    gone = admin.access.create_token("gone", role=Role.READER, projects=["lab"])
    admin.access.revoke_token("gone")
    unknown = "tmk_00000000_" + "0" * 43 + "0" * 6
    answers = set()
    for text in (gone.text, unknown, gone.text[:-1], "tmk_", "a.b.c", "x"):
        with presenting(text), Client(guarded.address) as client, pytest.raises(errors.Unauthenticated) as found:
            list(client.list_projects())
        answers.add((str(found.value), str(found.value.metadata)))
    assert len(answers) == 1
    with Client(guarded.address) as client, pytest.raises(errors.Unauthenticated, match="has no token"):
        list(client.list_projects())


def test_the_log_says_why_a_token_was_refused(guarded: Server, admin: Client) -> None:
    """What no answer says, the operator reads in the server's log, without the token."""
    new = admin.access.create_token("gone", role=Role.READER, projects=["lab"])
    admin.access.revoke_token("gone")
    with presenting(new.text), Client(guarded.address) as client, pytest.raises(errors.Unauthenticated):
        client.get_project("lab")
    logged = guarded.log_file.read_text()
    assert "unknown" in logged
    assert new.token.id in logged
    assert new.text not in logged


def test_lists_follow_pages(guarded: Server, root: str, admin: Client) -> None:
    """Every list is read page by page, in order, and its page tokens belong to it alone."""
    for number in range(5):
        admin.access.create_token(f"t{number}", role=Role.READER, projects=["lab", "shop"])
        admin.access.create_service_account(f"a{number}", projects=["lab"])
    metadata = (("authorization", f"Bearer {root}"),)
    with grpc.insecure_channel(guarded.address) as channel:
        stub = AccessStub(channel)
        names, token = [], ""
        while True:
            page = stub.ListTokens(access_pb2.ListTokensRequest(page_size=2, page_token=token), metadata=metadata)
            names += [each.name for each in page.tokens]
            token = page.next_page_token
            if not token:
                break
        assert names == ["root", "t0", "t1", "t2", "t3", "t4"]
        first = stub.ListGrants(access_pb2.ListGrantsRequest(page_size=3), metadata=metadata)
        second = stub.ListGrants(
            access_pb2.ListGrantsRequest(page_size=50, page_token=first.next_page_token), metadata=metadata
        )
        found = [(each.member, each.project) for each in (*first.grants, *second.grants)]
        assert found == sorted(set(found))
        assert len(found) == 11
        with refused("INVALID_PAGE_TOKEN"):
            request = access_pb2.ListServiceAccountsRequest(page_token=first.next_page_token)
            stub.ListServiceAccounts(request, metadata=metadata)


def test_a_list_that_has_become_empty_ends(guarded: Server, root: str, admin: Client) -> None:
    """The token of its next page stays valid, and leads to the end."""
    metadata = (("authorization", f"Bearer {root}"),)
    for project in ("lab", "shop"):
        admin.access.add_grant("user:ann", Role.READER, project)
    with grpc.insecure_channel(guarded.address) as channel:
        stub = AccessStub(channel)
        request = access_pb2.ListGrantsRequest(member="user:ann", page_size=1)
        request.page_token = stub.ListGrants(request, metadata=metadata).next_page_token
        for project in ("lab", "shop"):
            admin.access.remove_grant("user:ann", project)
        assert stub.ListGrants(request, metadata=metadata) == access_pb2.ListGrantsResponse()


def test_what_another_server_has_just_changed_counts(root: str, admin: Client, tmp_path: Path) -> None:
    """A member of its making is known by its name alone, and lists have it."""

    async def create(*names: str) -> None:
        book = AccessBook(open_access_file(tmp_path / "tallymark.access.db"), lambda: time.time_ns() // 1000)
        await book.start()
        for name in names:
            await book.execute(CreateServiceAccount(name=name, projects=("lab",)), book.caller_of(root))
        await book.store.close()

    asyncio.run(create("nightly"))
    assert admin.access.add_grant("nightly", Role.READER, "lab").member == "service-account:nightly"
    asyncio.run(create("weekly"))
    assert [each.name for each in admin.access.list_service_accounts()] == ["nightly", "weekly"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (access_pb2.CreateTokenRequest(name="a b", role=role_pb2.ROLE_READER, projects=["*"]), "name"),
        (access_pb2.CreateTokenRequest(name="a", projects=["*"]), "role"),
        (access_pb2.CreateTokenRequest(name="a", role=99, projects=["*"]), "role"),  # type: ignore[arg-type]  # no such role
        (access_pb2.CreateTokenRequest(name="a", role=role_pb2.ROLE_READER), "project"),
        (access_pb2.CreateTokenRequest(name="a", role=role_pb2.ROLE_READER, projects=["lab"]), "projects"),
    ],
    ids=["name", "no role", "unknown role", "no project", "no resource name"],
)
def test_a_request_that_cannot_be_fulfilled_names_its_field(
    guarded: Server, root: str, request_: access_pb2.CreateTokenRequest, field: str
) -> None:
    """Each wrong field of a token is refused by its name."""
    with grpc.insecure_channel(guarded.address) as channel, refused("INVALID_FIELD") as found:
        AccessStub(channel).CreateToken(request_, metadata=(("authorization", f"Bearer {root}"),))
    assert found.metadata["field"] == field


def test_tokens_outlast_a_restart(guarded: Server, admin: Client) -> None:
    """After a restart of the server, tokens count as before, and the day of their last use is known."""
    new = admin.access.create_token("ci", role=Role.READER, projects=["lab"])
    with client_with(guarded, new.text, "lab"):
        pass
    guarded.restart()
    with client_with(guarded, new.text, "lab") as client:
        assert client.access.caller().name == "ci"
    used = {each.name: each.last_use_time for each in admin.access.list_tokens()}
    assert used["ci"] is not None
    assert abs(datetime.now(UTC) - used["ci"]) < timedelta(days=2)


def test_a_killed_server_keeps_every_token_that_it_returned(guarded: Server, root: str, admin: Client) -> None:
    """A token whose text was returned counts after a crash."""
    new = admin.access.create_token("ci", role=Role.READER, projects=["lab"])
    guarded.kill()
    guarded.start()
    with client_with(guarded, new.text, "lab") as client:
        assert client.access.caller().name == "ci"


def test_programs_go_on_while_their_token_is_rotated(
    guarded: Server, admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that read their token from a file call without an error while it is rotated."""
    path = tmp_path / "token"
    path.write_text(admin.access.create_token("ci", role=Role.WRITER, projects=["lab"]).text)
    monkeypatch.setenv("TALLYMARK_TOKEN_FILE", str(path))
    stopped, calls, problems = threading.Event(), [0] * 4, []

    def work(number: int) -> None:
        with Client(guarded.address, project="lab") as client:
            while not stopped.is_set():
                try:
                    client.get_project("lab")
                except errors.TallymarkError as error:
                    problems.append(error)
                    return
                calls[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    rotated = admin.access.rotate_token("ci", overlap=timedelta(seconds=3))
    fresh = path.with_name("fresh")
    fresh.write_text(rotated.text)
    fresh.rename(path)
    ended = datetime.now(UTC) + timedelta(seconds=3)
    while datetime.now(UTC) < ended and not problems:
        stopped.wait(0.05)
    before = list(calls)
    while not problems and any(now < old + 3 for now, old in zip(calls, before, strict=True)):
        stopped.wait(0.05)
    stopped.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_methods_are_called_over_http_too(tmp_path: Path, root: str) -> None:
    """curl and browsers manage tokens as JSON, with the same header."""
    with Server(tmp_path / "tallymark.db", http="127.0.0.1:0") as server:

        def call(method: str, token: str, **request: object) -> Any:
            asked = urllib.request.Request(
                f"{server.dashboard}tallymark.v1.Access/{method}",
                json.dumps(request).encode(),
                {"content-type": "application/json", "authorization": f"Bearer {token}"},
            )
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return json.load(answer)

        new = call("CreateToken", root, name="ci", role="ROLE_READER", projects=["projects/default"])
        assert call("GetCaller", new["text"])["name"] == "ci"
        with pytest.raises(urllib.error.HTTPError) as refusal:
            call("CreateToken", new["text"], name="x", role="ROLE_READER", projects=["projects/default"])
        with refusal.value:
            assert refusal.value.code == 403


def test_without_access_control_there_are_no_tokens(server: Server) -> None:
    """A server without access control says so, and who calls is anonymous and may do everything."""
    with Client(server.address) as client:
        caller = client.access.caller()
        assert (caller.kind, caller.roles, caller.access_control) == ("local", {"*": Role.ADMIN}, False)
        with pytest.raises(errors.AccessControlOff, match="access init"):
            client.access.create_token("ci", role=Role.READER, projects=["*"])
        with pytest.raises(errors.AccessControlOff):
            list(client.access.list_tokens())
