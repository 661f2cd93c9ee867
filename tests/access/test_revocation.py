"""What is revoked ends: calls at once, streams and open pages within 15 seconds."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from msgspec.structs import replace
from access.known_callers import LAB, FixedTokens, bearer, caller, serving
from attacks.connections import Streams
from google.protobuf.message import Message
from grpc_calls import DEADLINE, refused
from web.envelopes import END, envelope, envelopes
from web.http_client import call, connected

from tallymark.v1 import event_log_pb2, model_registry_pb2
from tallymark.v1.event_log_pb2_grpc import EventLogStub
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark_server.access import door
from tallymark_server.access.callers import Caller, Credentials
from tallymark_server.domain.roles import ALL_PROJECTS
from tallymark_server.access.door import Door
from tallymark_server.app import Running
from tallymark_server.domain.errors import UnknownCaller
from tallymark_server.domain.roles import Role

pytestmark = pytest.mark.timeout(600)

PARENT = f"projects/{LAB}"
STREAMS = {"Export": event_log_pb2.ExportRequest, "Watch": event_log_pb2.WatchRequest}


@pytest.fixture
def tokens() -> FixedTokens:
    return FixedTokens({"ann": caller("ann", {LAB: Role.WRITER}), "root": caller("root", {ALL_PROJECTS: Role.ADMIN})})


@pytest.fixture
def server(tmp_path: Path, tokens: FixedTokens) -> Iterator[Running]:
    with serving(tmp_path, tokens, heartbeat=3600.0) as running:
        yield running


def test_the_longest_time_that_a_revoked_stream_stays_open() -> None:
    """A caller is remembered, and a stream is left unchecked, for so short a time that both together are below 15 s."""
    assert door.MAX_AGE + door.CHECK_INTERVAL <= 12


def test_a_revoked_caller_is_refused_at_its_next_call(server: Running, tokens: FixedTokens) -> None:
    """A call right after the revocation is refused, also over a connection that was used before."""
    with grpc.insecure_channel(server.address) as channel:
        stub, request = ModelRegistryStub(channel), model_registry_pb2.ListModelsRequest(parent=PARENT)
        stub.ListModels(request, metadata=bearer("ann"), timeout=DEADLINE)
        tokens.change("ann", None)
        with refused("UNAUTHENTICATED"):
            stub.ListModels(request, metadata=bearer("ann"), timeout=DEADLINE)


@pytest.mark.parametrize(
    ("to", "reason"),
    [(None, "UNAUTHENTICATED"), (caller("ann", {"default": Role.ADMIN}), "PROJECT_NOT_FOUND")],
    ids=["revoked", "regranted"],
)
def test_a_watch_ends(server: Running, tokens: FixedTokens, to: None, reason: str) -> None:
    """A watch over gRPC, on which nothing happens, ends with the refusal; that of another caller goes on."""
    with grpc.insecure_channel(server.address) as channel:
        log, request = EventLogStub(channel), event_log_pb2.WatchRequest(parent=PARENT)
        watch = log.Watch(request, metadata=bearer("ann"))
        other = log.Watch(request, metadata=bearer("root"))
        next(watch), next(other)
        tokens.change("ann", to)
        with refused(reason):
            next(watch)
        created = {"parent": PARENT, "modelId": "churn"}
        assert call(server.dashboard, "ModelRegistry/CreateModel", created, **dict(bearer("root"))).status == 200
        assert next(other).events[0].model.name == f"{PARENT}/models/churn"


async def ended(log: Path, method: str) -> str:
    """Wait until a call of the method has ended, and return its code."""
    async with asyncio.timeout(120):
        while True:
            text = await asyncio.to_thread(log.read_text)
            lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            if codes := [str(line["code"]) for line in lines if line["method"] == method]:
                return codes[0]


@pytest.mark.parametrize(("method", "request_type"), STREAMS.items(), ids=STREAMS)
async def test_a_stream_whose_reader_has_stopped_ends(
    tmp_path: Path, tokens: FixedTokens, method: str, request_type: type[Message]
) -> None:
    """Unread exports and watches from the beginning end with the refusal, not with the deadline of unread answers."""
    log = tmp_path / "access.log"
    with serving(tmp_path, tokens, access_log=log) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            for number in range(3):
                created = model_registry_pb2.CreateModelRequest(parent=PARENT, model_id=f"m{number}")
                await ModelRegistryStub(channel).CreateModel(created, metadata=bearer("ann"), timeout=DEADLINE)
        # With no room for a single byte of an answer.
        unread = await Streams.open(server.address)
        request = request_type(parent=PARENT).SerializeToString()
        await unread.call(f"/tallymark.v1.EventLog/{method}", request, *bearer("ann"))
        # A later call over the same connection is answered once the stream has begun.
        await unread.call("/tallymark.v1.ModelRegistry/ListModels", b"", *bearer("ann"))
        await ended(log, "ListModels")
        tokens.change("ann", None)
        assert await ended(log, method) == "UNAUTHENTICATED"


def test_a_watch_over_http_ends(server: Running, tokens: FixedTokens) -> None:
    """A stream of Connect ends with the refusal in its last envelope."""
    with connected(server.dashboard) as connection:
        headers = {"content-type": "application/connect+json", **dict(bearer("ann"))}
        body = envelope(f'{{"parent": "{PARENT}"}}'.encode())
        connection.request("POST", "/tallymark.v1.EventLog/Watch", body, headers)
        response = connection.getresponse()
        tokens.change("ann", None)
        *_, (flags, end) = envelopes(response.read())
        assert flags == END
        assert b'"unauthenticated"' in end


def test_an_open_page_ends(server: Running, tokens: FixedTokens) -> None:
    """The stream of a page ends with an event on which the page reloads itself."""
    with connected(server.dashboard) as connection:
        connection.request("GET", f"/projects/{LAB}/live", headers=dict(bearer("ann")))
        response = connection.getresponse()
        assert response.status == 200
        tokens.change("ann", None)
        assert response.read().endswith(b"event: refused\ndata:\n\n")


async def test_a_caller_is_remembered_until_it_expires_or_anything_is_revoked(tokens: FixedTokens) -> None:
    """The authenticator is called again after each change, and for a caller that has expired."""
    called = []

    class Counting(FixedTokens):
        async def caller(self, credentials: Credentials) -> Caller:
            called.append(credentials.bearer)
            return await super().caller(credentials)

    counting = Counting({"ann": caller("ann", {}), "bob": caller("bob", {})})
    entrance = Door(counting)
    ann, bob = Credentials("ann"), Credentials("bob")
    for _ in range(3):
        assert (await entrance.who(ann)).name == "ann"
        assert (await entrance.who(ann._replace(peer="127.0.0.1:1"))).name == "ann"
        assert (await entrance.who(bob)).name == "bob"
    assert called == ["ann", "bob"]
    counting.change("bob", None)
    await entrance.who(ann)
    with pytest.raises(UnknownCaller):
        await entrance.who(bob)
    assert called == ["ann", "bob", "ann", "bob"]


async def test_a_caller_that_expires_is_not_remembered_for_longer() -> None:
    """A caller that has expired is looked up again."""
    expired = replace(caller("ann", {}), expires=int(time.time() * 1e6))
    tokens = FixedTokens({"ann": expired})
    entrance = Door(tokens)
    await entrance.who(Credentials("ann"))
    del tokens._callers["ann"]
    with pytest.raises(UnknownCaller):
        await entrance.who(Credentials("ann"))


def test_credentials_show_no_secret() -> None:
    """What an error or a log shows of credentials has neither the token nor the session."""
    shown = repr(Credentials("tmk_secret", "session-secret", ("ci.example",), "127.0.0.1:1"))
    assert "secret" not in shown
    assert "bearer" in shown
    assert str(Credentials("tmk_secret")) == repr(Credentials("tmk_secret"))
