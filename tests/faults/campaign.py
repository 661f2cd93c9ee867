"""Rounds of faults against one server and one file, each verified before the next begins."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from faults.followers import Follower
from faults.exactly_once import Ledger
from faults.proxy import CuttingProxy
from faults.request_mix import MODELS, FaultyClient, Request, Tally
from tallymark import Client
from tallymark.testing import Server

CLIENTS = 4
REQUESTS_PER_CLIENT = 12
FOLLOWERS = 3


@dataclass
class Round:
    """The counts of a round."""

    rounds: int = 1
    kills: int = 0
    cuts: int = 0
    lost_answers: int = 0
    requests: int = 0
    repeated: int = 0
    given_up: int = 0
    effects: int = 0
    watches_resumed: int = 0
    problems: int = 0


class Campaign:
    """A server behind a proxy, the expected log, and its followers."""

    def __init__(self, db: Path, seed: int) -> None:
        self._seed = seed
        self._stack = ExitStack()
        self._known: dict[str, list[int]] = defaultdict(list)
        self._requests: list[Request] = []
        self._ledger = Ledger()
        self.server = Server(db)
        self.rounds: list[Round] = []
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server)
        self._client = self._stack.enter_context(Client(self.server.address))
        for model in MODELS:
            self._client.create_model(model)
        self._proxy = self._stack.enter_context(CuttingProxy(lambda: self.server.address, f"{self._seed}/proxy"))
        self._followers = [
            Follower(self._proxy.address, f"{self._seed}/follower {number}", crashes=number > 0)
            for number in range(FOLLOWERS)
        ]
        for follower in self._followers:
            follower.start()
            self._stack.callback(follower.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def round(self) -> None:
        """Send requests while answers are lost, connections are cut and the server is killed; then verify the log."""
        seed = f"{self._seed}/{len(self.rounds)}"
        cuts, effects, resumed = self._proxy.cuts, self._ledger.effects, self._resumed()
        tally = Tally()
        clients = [
            FaultyClient(self._proxy.address, f"{seed}/{number}", REQUESTS_PER_CLIENT, tally, self._known)
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        kills = self._kill(random.Random(seed), tally)
        for client in clients:
            client.join(90)
        self._requests += tally.requests
        problems = tally.problems + self._verify()
        self.problems += problems
        self.rounds.append(
            Round(
                kills=kills,
                cuts=self._proxy.cuts - cuts,
                lost_answers=tally.lost,
                requests=len(tally.requests),
                repeated=tally.begun - len(tally.requests),
                given_up=sum(not request.settled for request in tally.requests),
                effects=self._ledger.effects - effects,
                watches_resumed=self._resumed() - resumed,
                problems=len(problems),
            )
        )

    def _kill(self, choose: random.Random, tally: Tally) -> int:
        """Kill the server once or twice, after random numbers of requests."""
        kills = choose.randint(1, 2)
        for moment in sorted(choose.sample(range(2, CLIENTS * REQUESTS_PER_CLIENT), kills)):
            tally.wait_until_begun(moment)
            for _ in range(choose.randrange(30_000)):  # a random delay, to hit any phase of a commit
                pass
            self.server.kill()
            self.server.start()
        return kills

    def _verify(self) -> list[str]:
        problems = self._ledger.problems(self._client, self.server.db, self._requests)
        for follower in self._followers:
            follower.wait_for(len(self._ledger.events))
            if follower.problem:
                problems.append(follower.problem)
            elif follower.events != self._ledger.events:
                problems.append(f"{follower.name} received other events than the log has")
        return problems

    def _resumed(self) -> int:
        return sum(follower.resumed for follower in self._followers)


def report(rounds: Sequence[Round], seed: int, folder: Path) -> None:
    """Write the rounds as JSON, and as a table with a tenth of the rounds in each line."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {"seed": seed, "total": asdict(total(rounds)), "rounds": [asdict(each) for each in rounds]}
    (folder / "exactly-once.json").write_text(json.dumps(done, indent=1) + "\n")
    titles = [field.name.replace("_", " ") for field in fields(Round)]
    step = max(1, len(rounds) // 10)
    parts = [total(rounds[first : first + step]) for first in range(0, len(rounds), step)]
    rows = [titles, *([f"{value:,}" for value in asdict(part).values()] for part in [*parts, total(rounds)])]
    lines = ["  ".join(cell.rjust(len(title)) for cell, title in zip(row, titles, strict=True)) for row in rows]
    lines.insert(-1, "-" * len(lines[0]))
    (folder / "exactly-once.txt").write_text("\n".join(lines) + "\n")


def total(rounds: Sequence[Round]) -> Round:
    """Return the sums of the rounds."""
    return Round(**{field.name: sum(getattr(each, field.name) for each in rounds) for field in fields(Round)})
