"""Unknown callers do less harm than known ones: their refusals are few, and what they leave open gives way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from access.known_callers import LAB, FixedTokens, bearer, caller, serving
from attacks.connections import Streams
from grpc_calls import DEADLINE, refusal_of, refused
from grpc_health.v1 import health_pb2, health_pb2_grpc
from web.http_client import connected

from tallymark.v1 import model_registry_pb2
from tallymark.v1.model_registry_pb2_grpc import ModelRegistryStub
from tallymark_server.access import refusals
from tallymark_server.access.refusals import Refusals
from tallymark_server.app import Running
from tallymark_server.domain.roles import Role
from tallymark_server.rpc import traffic
from tallymark_server.rpc.connections import address_of
from tallymark_server.web.request_bodies import MAX_UNKNOWN

pytestmark = pytest.mark.timeout(600)

LIST = "/tallymark.v1.ModelRegistry/ListModels"
REQUEST = model_registry_pb2.ListModelsRequest(parent=f"projects/{LAB}")
PER_ADDRESS = 5


@pytest.fixture
def endless_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no second end, so that what waits for the next one waits for ever."""
    monkeypatch.setattr(refusals, "MAX_REFUSALS_PER_ADDRESS", PER_ADDRESS)
    monkeypatch.setattr(refusals, "WINDOW", 3600.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path, FixedTokens({"ann": caller("ann", {LAB: Role.WRITER})})) as running:
        yield running


async def waiting(given: Refusals, connection: str, address: str) -> asyncio.Task[bool]:
    """Return a call that waits to be refused."""
    before = given.waiting
    task = asyncio.create_task(given.turn(connection, address))
    async with asyncio.timeout(60):
        while given.waiting == before:  # noqa: ASYNC110 - what it waits for is another task
            await asyncio.sleep(0)
    return task


@pytest.mark.usefixtures("endless_second")
async def test_an_address_is_refused_so_often_and_then_waits() -> None:
    """Beyond the bound a connection waits with one call and is closed with the second; other addresses are answered."""
    given = Refusals()
    for number in range(PER_ADDRESS):
        assert await given.turn(f"here:{number}", "here")
    first = await waiting(given, "here:0", "here")
    assert not await given.turn("here:0", "here")
    another = await waiting(given, "here:99", "here")
    assert await given.turn("there:1", "there")
    for task in (first, another):
        assert not task.done()
        task.cancel()
    await asyncio.wait((first, another))
    assert given.waiting == 0
    # A call that was reset counts until the second ends: to begin and to reset calls is a flood too.
    assert not await given.turn("here:0", "here")


@pytest.mark.usefixtures("endless_second")
async def test_all_addresses_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers from many addresses are refused no more often than the bound on all, and few of them wait."""
    monkeypatch.setattr(refusals, "MAX_REFUSALS", 3)
    monkeypatch.setattr(refusals, "MAX_WAITING", 1)
    given = Refusals()
    for number in range(3):
        assert await given.turn(f"{number}:1", str(number))
    waits = await waiting(given, "3:1", "3")
    assert not await given.turn("4:1", "4")
    waits.cancel()


@pytest.mark.usefixtures("endless_second")
async def test_a_connection_of_a_known_caller_is_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls on a connection over which a known caller has come wait, or are refused at once when too many do."""
    monkeypatch.setattr(refusals, "MAX_WAITING", 2)
    given = Refusals()
    given.accept("here:1")
    for _ in range(PER_ADDRESS):
        assert await given.turn("here:1", "here")
    tasks = [await waiting(given, "here:1", "here") for _ in range(2)]
    assert await given.turn("here:1", "here")
    closed: list[frozenset[str]] = []
    await asyncio.gather(*(given.close(name, closed.append) for name in ("here:1", "here:2", "here:3")))
    assert closed == [frozenset(("here:2", "here:3"))]
    for task in tasks:
        task.cancel()


async def test_what_waits_is_refused_in_the_next_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers on connections of their own are all refused, though many more than the bound of one second."""
    monkeypatch.setattr(refusals, "MAX_REFUSALS_PER_ADDRESS", PER_ADDRESS)
    monkeypatch.setattr(refusals, "WINDOW", 0.01)
    given = Refusals()
    assert all(await asyncio.gather(*(given.turn(f"here:{number}", "here") for number in range(4 * PER_ADDRESS))))


async def test_few_are_refused_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many calls at once, only those of one interval are refused; the others wait for theirs."""
    monkeypatch.setattr(refusals, "REFUSAL_INTERVAL", 3600.0)
    given = Refusals()
    tasks = [asyncio.create_task(given.turn(f"here:{number}", "here")) for number in range(20)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(task.done() for task in tasks) == refusals.REFUSALS_PER_INTERVAL
    for task in tasks:
        task.cancel()


async def test_remembered_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest connection is forgotten, and remembered again with its next call."""
    monkeypatch.setattr(refusals, "MAX_ACCEPTED", 2)
    given = Refusals()
    for name in ("a", "b", "c"):
        given.accept(name)
    assert [given.has_accepted(name) for name in ("a", "b", "c")] == [False, True, True]
    given.accept("a")
    assert given.has_accepted("a")


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:127.0.0.1:50", "127.0.0.1"), ("ipv6:%5B::1%5D:50", "::1"), ("unix:", "unix:")],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    """The address is that of the peer, without its port."""
    assert address_of(peer) == address


@pytest.mark.usefixtures("endless_second")
async def test_a_flood_without_credentials_is_closed_and_known_callers_are_answered(server: Running) -> None:
    """Connections with nothing but refused calls are closed; a known caller at the same address gets its answers."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = ModelRegistryStub(channel)
        await stub.ListModels(REQUEST, metadata=bearer("ann"), timeout=DEADLINE)
        flood = [await Streams.open(server.address) for _ in range(5)]
        for each in flood:
            for _ in range(20):
                await each.call(LIST, REQUEST.SerializeToString())
        async with asyncio.timeout(60):
            while not all(each.ended for each in flood):
                await stub.ListModels(REQUEST, metadata=bearer("ann"), timeout=DEADLINE)
        mixed = await Streams.open(server.address)
        await mixed.call(LIST, REQUEST.SerializeToString(), *bearer("ann"))
        late = await Streams.open(server.address)
        await late.call(LIST, REQUEST.SerializeToString())
        await stub.ListModels(REQUEST, metadata=bearer("ann"), timeout=DEADLINE)
        assert not late.ended
        assert not mixed.ended


def test_a_refusal_over_http_closes_only_connections_of_unknown_callers(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bounds, an unknown caller's connection ends with the refusal, and a known one's can be used again."""
    path = f"/projects/{LAB}/"
    monkeypatch.setattr(refusals, "MAX_REFUSALS_PER_ADDRESS", 0)
    monkeypatch.setattr(refusals, "MAX_WAITING", 0)
    with connected(server.dashboard) as known, connected(server.dashboard) as unknown:
        for headers, status in ((dict(bearer("ann")), 200), ({"authorization": "Bearer x"}, 401)):
            known.request("GET", path, headers=headers)
            response = known.getresponse()
            response.read()
            assert response.status == status
            assert response.headers["connection"] != "close"
        unknown.request("GET", path, headers={"authorization": "Bearer x"})
        response = unknown.getresponse()
        assert response.status == 401
        assert response.headers["connection"] == "close"


def test_a_sign_in_has_a_small_body(server: Running) -> None:
    """What anybody may send over HTTP is small."""
    with connected(server.dashboard) as connection:
        connection.request("POST", "/sign-in", b"x" * (MAX_UNKNOWN + 1))
        assert connection.getresponse().status == 413


def test_unknown_callers_have_few_streams(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch of the health beyond the bound is refused, unless a known caller has come over its connection."""
    monkeypatch.setattr(traffic, "MAX_UNKNOWN_STREAMS", 2)
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(2)]
        for watch in watches:
            next(watch)
        with pytest.raises(grpc.RpcError) as error:
            next(health.Watch(health_pb2.HealthCheckRequest(), timeout=60))
        assert refusal_of(error.value).reason == "OVERLOADED"
        ModelRegistryStub(channel).ListModels(REQUEST, metadata=bearer("ann"), timeout=DEADLINE)
        next(health.Watch(health_pb2.HealthCheckRequest(), timeout=60))
        with refused("UNAUTHENTICATED"):
            ModelRegistryStub(channel).ListModels(REQUEST, timeout=DEADLINE)
