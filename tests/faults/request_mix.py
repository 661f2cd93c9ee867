"""What clients ask while the world is against them, each request with a token by which its effects are found again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallymark import Client, NewVersion
from tallymark.client import calls
from tallymark.client.calls import Call
from tallymark.errors import TallymarkError, Unavailable
from tallymark.types.resources import ModelVersion

PROJECT = "default"
MODELS = ("churn", "fraud", "leads")
# Of so many answers one is lost on the way, and of so many clients one crashes after a call that failed.
LOST = 0.15
CRASHED = 0.3
# Seconds, about as long as the server is away, so that some calls end without an answer and others wait for one.
PATIENCE = 1.0
# Each attempt is repeated by gRPC itself within its deadline: whoever needs more is not being served.
ATTEMPTS = 40


@dataclass
class Request:
    """One request, however often it is sent, and every answer that came. `target` is the version that it moves."""

    token: str
    kind: str
    call: Call[Any]
    effects: int
    target: str = ""
    attempts: int = 0
    answers: list[list[ModelVersion]] = field(default_factory=list)
    settled: bool = False


class Tally:
    """What the clients of a round have done, and a bell for who waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.begun = 0
        self.lost = 0
        self._living = 0

    def count(self, *, begun: int = 0, lost: int = 0, living: int = 0) -> None:
        with self._changed:
            self.begun += begun
            self.lost += lost
            self._living += living
            self._changed.notify_all()

    def wait_until_begun(self, attempts: int) -> None:
        """Until so many attempts were begun, or nobody is left to begin one."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun >= attempts or not self._living, 60)


class Asker(threading.Thread):
    """A client in a thread that sends each request until it is answered, loses answers, and crashes now and then."""

    def __init__(self, url: str, seed: str, turns: int, tally: Tally, known: dict[str, list[int]]) -> None:
        super().__init__(name=seed)
        self._url = url
        self._choose = random.Random(seed)
        self._turns = turns
        self._tally = tally
        self._known = known
        tally.count(living=1)

    def run(self) -> None:
        client = Client(self._url, timeout=PATIENCE)
        try:
            for turn in range(self._turns):
                request = self._request(f"{self.name}/{turn}")
                self._tally.requests.append(request)
                if not self._ask(client, request):
                    client.close()
                    client = Client(self._url, timeout=PATIENCE)
        except TallymarkError as error:
            self._tally.problems.append(f"{self.name}: {error!r}")
        finally:
            client.close()
            self._tally.count(living=-1)

    def _ask(self, client: Client, request: Request) -> bool:
        """Whether an answer came through, and not a crash before."""
        while True:
            request.attempts += 1
            assert request.attempts < ATTEMPTS, request
            self._tally.count(begun=1)
            try:
                answer = client.run_call(request.call)
            except Unavailable:
                if self._choose.random() < CRASHED:
                    return False
                continue
            request.answers.append(list(versions_in(answer)))
            if self._choose.random() < LOST:
                self._tally.count(lost=1)
                continue
            request.settled = True
            for version in request.answers[-1]:
                self._known[version.model].append(version.number)
            return True

    def _request(self, token: str) -> Request:
        model = self._choose.choice(MODELS)
        numbers = self._known[model]
        kinds: Sequence[Callable[[str, str, str], Request]] = (create, create_batch)
        if numbers:
            kinds = (create, create, create_batch, promote, promote, point, log)
        reference = f"{model}/{self._choose.choice(numbers)}" if numbers else model
        return self._choose.choice(kinds)(token, model, reference)


def versions_in(answer: Any) -> Iterator[ModelVersion]:
    """The versions that an answer holds."""
    yield from answer if isinstance(answer, list) else [answer]


def create(token: str, model: str, _: str) -> Request:
    """A version that is described by the token, and half of the time named by it."""
    name = token.replace("/", "-") if hash_of(token) % 2 else ""
    return Request(token, "create", calls.create_version(PROJECT, model, NewVersion(name, token)), 1)


def create_batch(token: str, model: str, _: str) -> Request:
    """Three versions at once, all or none."""
    new = [NewVersion(description=token) for _ in range(3)]
    return Request(token, "create", calls.create_versions(PROJECT, model, new), len(new))


def promote(token: str, _: str, reference: str) -> Request:
    """A version to a stage, for the reason of the token; who held the stage leaves in the same commit."""
    stage = ("production", "staging", "archived")[hash_of(token) % 3]
    call = calls.set_stage(PROJECT, reference, stage, force=True, reason=token, etag="")
    return Request(token, "promote", call, 1, reference)


def point(token: str, _: str, reference: str) -> Request:
    """An alias to a version, for the reason of the token."""
    alias = ("champion", "canary")[hash_of(token) % 2]
    call = calls.set_alias(PROJECT, reference, alias, expected_number=None, reason=token)
    return Request(token, "point", call, 1, reference)


def log(token: str, _: str, reference: str) -> Request:
    """A fact about a version that holds the token."""
    return Request(token, "log", calls.log_metadata(PROJECT, reference, {"token": token}, ()), 1)


def hash_of(token: str) -> int:
    """A number that depends on the token alone, in every process."""
    return sum(token.encode())
