"""Replicas on one database lose nothing and do nothing twice, whatever is killed, frozen or promoted.

`make soak` sends more requests through more faults, and writes their counts to .cache/soak/.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from consistency.checker import Checker
from consistency.clients import Load, running_clients
from consistency.expected import Log
from consistency.projects import contradictions
from consistency.report import report
from consistency.workload import UNCHECKED_METHODS
from faults.followers import Follower
from faults.postgres_log import log_of
from faults.postgres_pair import PostgresPair
from faults.replicas import Replicas
from postgres_server import PostgresServer
from sdk.killed_programs import wait_until

from tallymark import Client, Model, log_metric, run
from tallymark.types.enums import RunState

FAULTS = int(os.environ.get("TALLYMARK_TEST_FAILOVER", "4"))
SEED = os.environ.get("TALLYMARK_TEST_SEED", "1")
REPLICAS, CLIENTS = 3, 9
# The requests that are started between two faults, and while something is away.
BETWEEN, MEANWHILE = 60, 30
# A call of a frozen replica is given up after so many seconds, and repeated at another.
ANSWER_TIMEOUT = 4.0


class Scene:
    """Replicas under load on the database of that URL, and what happens to them."""

    def __init__(self, url: str, replicas: Replicas, load: Load) -> None:
        self.url = url
        self.replicas = replicas
        self.load = load
        self.choose = random.Random(SEED)
        self.happened: Counter[str] = Counter()

    def happen(self, faults: Iterator[Callable[[Scene], None]]) -> None:
        """Let one fault after the other happen, with requests between."""
        for fault in faults:
            self.load.wait_for(BETWEEN)
            fault(self)
            self.happened[fault.__name__] += 1
        self.load.wait_for(BETWEEN)


def kill_replica(scene: Scene) -> None:
    server = scene.choose.choice(scene.replicas.servers)
    server.kill()
    scene.load.wait_for(MEANWHILE)
    server.start()


def freeze_replica(scene: Scene) -> None:
    with scene.replicas.frozen(scene.choose.randrange(REPLICAS)):
        scene.load.wait_for(MEANWHILE)


def kill_database(postgres: PostgresServer) -> Callable[[Scene], None]:
    def kill_postgresql(_: Scene) -> None:
        postgres.kill()
        postgres.start()

    return kill_postgresql


def check(scene: Scene, followers: Sequence[Follower], name: str, folder: Path) -> Log:
    """Return the log, in which nothing contradicts an answer, a follower, or another event."""
    assert [client.failure for client in scene.load.clients if client.failure] == []
    history = [operation for client in scene.load.clients for operation in client.history]
    log = log_of(scene.url)
    checker = Checker(log, [each for each in history if each.method not in UNCHECKED_METHODS])
    problems = [*checker.problems(), *contradictions(history), *gaps(log)]
    for follower in followers:
        follower.wait_for(log.head)
        seen = [(event.revision, event.kind) for event in islice(follower.events, log.head)]
        if follower.problem or seen != [(event["revision"], event["kind"]) for event in log.events]:
            problems.append(f"{follower.name} received other events than the log has: {follower.problem}")
    with Client(scene.replicas.url, project="default") as client:
        problems += [f"verify: {problem}" for problem in client.verify().problems]
    done = {
        **scene.happened,
        "operations": len(history),
        "hedged": sum(client.hedged for client in scene.load.clients),
        "repeated": sum(client.repeated for client in scene.load.clients),
        "effects": len(log.receipts),
        "revisions": log.head,
        "checks": checker.compared,
        "problems": len(problems),
    }
    report(name, done, history, folder)
    assert problems == [], "\n".join(problems[:5])
    return log


def gaps(log: Log) -> Iterator[str]:
    """Yield the models whose versions are not numbered 1, 2, 3 and so on."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for event in log.events:
        if event["kind"] == "version_created":
            numbers[event["model"]].append(event["number"])
    for model, given in numbers.items():
        if given != list(range(1, len(given) + 1)):
            yield f"the versions of model {model} got the numbers {given}"


@contextmanager
def following(replicas: Replicas) -> Iterator[list[Follower]]:
    """Watch each replica, and all of them by one list of addresses."""
    followers = [Follower(server.address, f"of {server.address}", crashes=False) for server in replicas.servers]
    followers.append(Follower(replicas.url, "of any", crashes=True))
    for follower in followers:
        follower.start()
    try:
        yield followers
    finally:
        for follower in followers:
            follower.close()


class Training(threading.Thread):
    """A program that records a run until `ending` is set."""

    def __init__(self) -> None:
        super().__init__(name="training")
        self.ending = threading.Event()
        self.run_id = ""
        self.points = 0

    def run(self) -> None:
        with run(model=Model("churn")) as recording:
            self.run_id = recording.id
            while not self.ending.wait(0.01):
                log_metric("loss", 1 / (1 + self.points), step=self.points)
                self.points += 1


@contextmanager
def training(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Record a run during the block, and require that all of it has arrived afterwards."""
    monkeypatch.setenv("TALLYMARK_URL", replicas.url)
    monkeypatch.setenv("TALLYMARK_PROJECT", "training")
    with Client(project="training") as client:
        client.create_project("training")
        program = Training()
        program.start()
        try:
            yield
        finally:
            program.ending.set()
            program.join()
        wait_until(lambda: client.get_run(program.run_id).state is RunState.SUCCEEDED)
        assert [point.step for point in client.list_metrics("churn/1")] == list(range(program.points))
        assert "run_lost" not in {event.kind for event in client.list_events()}


@pytest.mark.timeout(240 + 30 * FAULTS)
def test_replicas_lose_nothing_when_any_of_them_or_the_database_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers, watches on every replica, and a training agree with one log, whatever is killed or frozen meanwhile."""
    with (
        PostgresServer() as postgres,
        Replicas(postgres.url(), tmp_path, REPLICAS) as replicas,
        following(replicas) as followers,
    ):
        faults = [kill_replica, freeze_replica, kill_database(postgres), kill_replica]
        with training(replicas, monkeypatch), running_clients(replicas.servers, CLIENTS, SEED, ANSWER_TIMEOUT) as load:
            scene = Scene(postgres.url(), replicas, load)
            scene.happen(faults[turn % len(faults)] for turn in range(FAULTS))
        log = check(scene, followers, "failover", tmp_path)
        assert log.receipts


@pytest.mark.timeout(240)
def test_a_standby_that_takes_over_has_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the primary is lost, the replicas go on with the synchronous standby, and no answer was wrong."""
    with (
        PostgresPair() as pair,
        Replicas(pair.url("postgres"), tmp_path, REPLICAS) as replicas,
        following(replicas) as followers,
    ):
        with training(replicas, monkeypatch), running_clients(replicas.servers, CLIENTS, SEED, ANSWER_TIMEOUT) as load:
            scene = Scene(pair.url("postgres"), replicas, load)

            def fail_over(_: Scene) -> None:
                pair.fail_over()

            scene.happen(iter([fail_over]))
        log = check(scene, followers, "promotion", tmp_path)
        assert log.receipts
