"""A service with several addresses: calls, watches and records go to a replica that answers, and have one effect."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from faults.followers import Follower
from faults.proxy import CuttingProxy, OutageProxy
from sdk.killed_programs import wait_until

from tallymark import AsyncClient, Client, Model, errors, log_metric, run, serving
from tallymark.addresses import addresses_of, checked_url
from tallymark.client.replicas import Attempts, Replicas
from tallymark.testing import Server
from tallymark.types.enums import RunState

CLOSED = "127.0.0.1:1"
# More clients than addresses: each begins with one by chance.
CLIENTS = 12


class TwoWays:
    """Two addresses of one server, each through a proxy."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.proxies = [stack.enter_context(OutageProxy(lambda: server.address)) for _ in range(2)]
        self.url = ",".join(proxy.address for proxy in self.proxies)

    def alternate(self) -> Iterator[OutageProxy]:
        """Yield each proxy a few times, for the other to be the only way meanwhile."""
        for proxy in self.proxies * 2:
            yield proxy
            proxy.restore()


@pytest.fixture
def two_ways(server: Server) -> Iterator[TwoWays]:
    with ExitStack() as stack:
        yield TwoWays(server, stack)


@pytest.mark.parametrize("others", ["127.0.0.1:1", "no.such.host.invalid:50051", "127.0.0.1:1,127.0.0.1:2"])
async def test_a_call_reaches_the_replica_that_answers(server: Server, others: str) -> None:
    """Whichever address a client begins with, and whatever is wrong with the others, its calls are answered."""
    for url in (f"{others},{server.address}", f" {server.address} , {others}\n"):
        for _ in range(CLIENTS):
            with Client(url) as client:
                assert await asyncio.to_thread(client.newest_revision) == 0
            async with AsyncClient(url) as aclient:
                assert await aclient.newest_revision() == 0


def test_changes_go_on_through_another_replica(two_ways: TwoWays) -> None:
    """When the replica of a client goes away, its changes go to another one, and each has one effect."""
    with Client(two_ways.url) as client:
        client.create_model("churn")
        numbers = []
        for proxy in two_ways.alternate():
            numbers += [client.create_version("churn").number for _ in range(3)]
            proxy.cut()
            numbers += [client.create_version("churn").number for _ in range(3)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert [version.number for version in client.list_versions("churn")] == numbers[::-1]


async def test_changes_of_asyncio_go_on_through_another_replica(two_ways: TwoWays) -> None:
    """The same holds for many calls at a time of the asyncio client."""
    async with AsyncClient(two_ways.url) as client:
        await client.create_model("churn")

        async def create() -> list[int]:
            return [(await client.create_version("churn")).number for _ in range(10)]

        creating = asyncio.gather(*(create() for _ in range(8)))
        for proxy in two_ways.alternate():
            await asyncio.to_thread(proxy.cut)
            await client.create_version("churn")
        numbers = [number for each in await creating for number in each]
        assert len(set(numbers)) == 80
        assert [version.number async for version in client.list_versions("churn")] == list(range(84, 0, -1))


def test_a_frozen_replica_is_left(two_ways: TwoWays) -> None:
    """A replica that keeps connections open and answers nothing is left; what was sent to it has one effect."""
    with Client(two_ways.url) as client:
        client.create_model("churn")
        for proxy in two_ways.alternate():
            proxy.stall()
            client.create_version("churn")
        assert [version.number for version in client.list_versions("churn")] == [4, 3, 2, 1]


@pytest.mark.parametrize("crashes", [False, True])
def test_a_watch_resumes_at_another_replica(server: Server, two_ways: TwoWays, crashes: bool) -> None:
    """It returns each event once and in order."""
    follower = Follower(two_ways.url, "replicas", crashes=crashes)
    follower.start()
    with Client(server.address) as client:
        client.create_model("churn")
        for proxy in two_ways.alternate():
            client.create_version("churn")
            follower.wait_for(client.newest_revision())
            proxy.cut()
            client.create_version("churn")
            follower.wait_for(client.newest_revision())
        head = client.newest_revision()
        follower.wait_for(head)
        follower.close()
        assert not follower.problem
        assert [event.revision for event in follower.events] == list(range(1, head + 1))


async def test_a_watch_of_asyncio_resumes_at_another_replica(server: Server, two_ways: TwoWays) -> None:
    """It returns each event once and in order."""
    async with AsyncClient(server.address) as client, AsyncClient(two_ways.url) as watching:
        watch = watching.watch(0)
        revisions = []
        await client.create_model("churn")
        revisions.append((await anext(watch)).revision)
        for proxy in two_ways.alternate():
            await client.create_version("churn")
            revisions.append((await anext(watch)).revision)
            await asyncio.to_thread(proxy.cut)
            await client.create_version("churn")
            revisions.append((await anext(watch)).revision)
        assert revisions == list(range(1, 10))


def test_a_replica_with_another_log_is_refused(server: Server, tmp_path: Path) -> None:
    """An address of another registry is not taken for a replica: a watch that moves to it ends with an error."""
    with (
        Client(server.address) as writer,
        Server(tmp_path / "other.db") as other,
        OutageProxy(lambda: server.address) as proxy,
        Client(f"{proxy.address},{other.address}") as client,
    ):
        writer.create_model("churn")
        client._channel.replicas.current = 0  # otherwise by chance
        watch = client.watch(0)
        assert next(watch).revision == 1
        proxy.cut()
        with pytest.raises(errors.LogReplaced):
            next(watch)


def test_what_a_run_records_arrives_once_through_any_replica(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever connections are cut, also within a message, each point is in the log once."""
    monkeypatch.setenv("TALLYMARK_TIMEOUT", "10")
    with CuttingProxy(lambda: server.address, "one") as one, CuttingProxy(lambda: server.address, "two") as two:
        monkeypatch.setenv("TALLYMARK_URL", f"{one.address},{CLOSED},{two.address}")
        logged = count()
        with run(model=Model("churn")) as recording:
            # How many messages the points need, and so whether one is cut, depends on how fast they are sent.
            while (steps := next(logged)) < 2000 or (one.cuts + two.cuts == 0 and steps < 20_000):
                log_metric("loss", steps / 2000, step=steps)
        with Client(server.address) as client:
            wait_until(lambda: client.get_run(recording.id).state is RunState.SUCCEEDED)
            number = client.get_run(recording.id).model_version
            assert number is not None
            assert [point.step for point in client.list_metrics(number)] == list(range(steps))


def test_what_is_served_follows_through_any_replica(server: Server, two_ways: TwoWays) -> None:
    """A service that follows a stage receives each promotion while one replica or the other is away."""
    with Client(server.address) as client:
        client.create_model("churn")
        client.create_version("churn")
        client.set_stage("churn/1", "production")
        promoted = [1]
        with serving.follow("churn@production", lambda version: version.number, url=two_ways.url) as follower:
            for proxy in two_ways.alternate():
                proxy.cut()
                promoted.append(client.create_version("churn").number)
                client.set_stage(f"churn/{promoted[-1]}", "production", force=True)
                assert follower.wait_for(lambda: follower.current.value == promoted[-1], 60)


async def test_an_error_has_the_cause_of_each_replica() -> None:
    """When no replica answers, the error of both clients says why for each of them, and the log has said so before."""
    url = f"{CLOSED},no.such.host.invalid:50051"
    with pytest.raises(errors.Unavailable) as caught:
        Client(url, timeout=1).newest_revision()
    told = [str(caught.value)]
    async with AsyncClient(url, timeout=1) as client:
        with pytest.raises(errors.Unavailable) as caught:
            await client.newest_revision()
    told.append(str(caught.value))
    for text in told:
        assert f"no replica answers at {url}: {CLOSED}: nothing listens there" in text
        assert "no such host: no.such.host.invalid" in text
        assert "TALLYMARK_URL" in text


def test_addresses_that_are_all_wrong_are_reported_soon() -> None:
    """If none of them can ever answer, a call does not wait for its deadline."""
    with pytest.raises(errors.Unavailable, match=r"no replica answers at a\.invalid:1,b\.invalid:2: a.*; b"):
        Client("a.invalid:1,b.invalid:2", timeout=3600).newest_revision()


def test_a_watch_whose_replicas_are_all_away_goes_on_when_one_is_back(server: Server, two_ways: TwoWays) -> None:
    """It reports the loss, and then returns what has happened meanwhile."""
    lost = threading.Event()
    with Client(two_ways.url) as client, Client(server.address) as writer:
        watch = client.watch_progress(0, on_lost=lambda error: lost.set())
        next(watch)
        for proxy in two_ways.proxies:
            proxy.cut()
        writer.create_model("churn")

        def restore() -> None:
            lost.wait(60)
            two_ways.proxies[1].restore()

        restoring = threading.Thread(target=restore)
        restoring.start()
        message = next(each for each in watch if each.events)
        restoring.join()
        assert lost.is_set()
        assert [event.kind for event in message.events] == ["model_created"]


def test_doctor_shows_each_replica(server: Server) -> None:
    """It succeeds if one answers, and shows which does not."""
    tallymark = Path(sys.executable).with_name("tallymark")
    command: list[str | Path] = [tallymark, "--url", f"{CLOSED},{server.address}", "--timeout", "1", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("service")]
    assert [(line[1], line[-1]) for line in lines] == [("does", CLOSED), ("answers", server.address)]
    command[2] = f"{CLOSED},127.0.0.1:2"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("a:1", ("a:1",)),
        (" a:1, b:2 ,[::1]:3", ("a:1", "b:2", "[::1]:3")),
        ("a:1,a:1", ("a:1",)),
        ("grpcs://a,https://b,c:3", ("grpcs://a:50051", "grpcs://b:443", "c:3")),
        ("unix:/run/a,b.sock", ("unix:/run/a,b.sock",)),
    ],
)
def test_addresses_are_separated_by_commas(url: str, addresses: tuple[str, ...]) -> None:
    """Spaces do not count, an address counts once, and the path of a socket may have commas."""
    assert tuple(map(str, addresses_of(checked_url(url, "--url")))) == addresses


@pytest.mark.parametrize("url", ["a:1,", ",", "a:1,b", "a:1,unix:/run/b.sock", "a:1;b:2"])
def test_a_wrong_address_among_several_is_named(url: str) -> None:
    """The error names the address, and how several are written."""
    with pytest.raises(errors.InvalidSetting, match=r"^--url is .* is not HOST:PORT.*commas between"):
        checked_url(url, "--url")


def test_each_attempt_but_the_last_of_a_round_is_short() -> None:
    """A replica that has never answered is given up sooner, and the last one may take all the time that is left."""
    replicas = Replicas("a:1,b:2,c:3")
    replicas.current = 1
    replicas.answered(2)
    attempts = iter(Attempts(replicas, 1000, is_long=False))
    first_round = [next(attempts) for _ in range(3)]
    assert [each.replica for each in first_round] == [1, 2, 0]
    assert [each.pause for each in first_round] == [0, 0, 0]
    assert [round(each.seconds) for each in first_round] == [1, 5, 1000]
    assert next(attempts).pause > 0


def test_a_long_call_asks_each_replica_once() -> None:
    """It may take all the time at each, since it is not begun again."""
    replicas = Replicas("a:1,b:2")
    assert [round(each.seconds) for each in Attempts(replicas, 3600, is_long=True)] == [3600, 3600]
