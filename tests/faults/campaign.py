"""Rounds of faults against one server and one file, each proved before the next begins."""

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
from faults.request_mix import MODELS, Asker, Request, Tally
from tallymark import Client
from tallymark.testing import Server

ASKERS = 4
TURNS = 12
FOLLOWERS = 3


@dataclass
class Round:
    """What was done in a round, and what came of it."""

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
    """A server behind a proxy, the log that it should have, and those who follow it."""

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
        """Ask, lose, cut and kill, then prove that all is as if nothing had happened."""
        seed = f"{self._seed}/{len(self.rounds)}"
        cuts, effects, resumed = self._proxy.cuts, self._ledger.effects, self._resumed()
        tally = Tally()
        askers = [Asker(self._proxy.address, f"{seed}/{number}", TURNS, tally, self._known) for number in range(ASKERS)]
        for asker in askers:
            asker.start()
        kills = self._kill(random.Random(seed), tally)
        for asker in askers:
            asker.join(90)
        self._requests += tally.requests
        problems = tally.problems + self._prove()
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
        """Kill the server once or twice, at moments that the seed and then the machine decide."""
        kills = choose.randint(1, 2)
        for moment in sorted(choose.sample(range(2, ASKERS * TURNS), kills)):
            tally.wait_until_begun(moment)
            for _ in range(choose.randrange(30_000)):  # so that the blow falls anywhere in a commit
                pass
            self.server.kill()
            self.server.start()
        return kills

    def _prove(self) -> list[str]:
        problems = self._ledger.problems(self._client, self.server.db, self._requests)
        for follower in self._followers:
            follower.wait_for(len(self._ledger.events))
            if follower.problem:
                problems.append(follower.problem)
            elif follower.events != self._ledger.events:
                problems.append(f"{follower.name} was told something else than the log holds")
        return problems

    def _resumed(self) -> int:
        return sum(follower.resumed for follower in self._followers)


def report(rounds: Sequence[Round], seed: int, folder: Path) -> None:
    """Write what was done as JSON, a round each, and as a table, a tenth of the rounds in a line."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {"seed": seed, "total": asdict(summed(rounds)), "rounds": [asdict(each) for each in rounds]}
    (folder / "exactly-once.json").write_text(json.dumps(done, indent=1) + "\n")
    titles = [field.name.replace("_", " ") for field in fields(Round)]
    step = max(1, len(rounds) // 10)
    parts = [summed(rounds[first : first + step]) for first in range(0, len(rounds), step)]
    rows = [titles, *([f"{value:,}" for value in asdict(part).values()] for part in [*parts, summed(rounds)])]
    lines = ["  ".join(cell.rjust(len(title)) for cell, title in zip(row, titles, strict=True)) for row in rows]
    lines.insert(-1, "-" * len(lines[0]))
    (folder / "exactly-once.txt").write_text("\n".join(lines) + "\n")


def summed(rounds: Sequence[Round]) -> Round:
    """All of them as one."""
    return Round(**{field.name: sum(getattr(each, field.name) for each in rounds) for field in fields(Round)})
