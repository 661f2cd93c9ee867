"""Clients that send random requests while faults happen. The effects of each request are found by its token."""

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
# The share of answers that are lost, and of clients that crash after a failed call.
LOST_SHARE = 0.15
CRASH_SHARE = 0.3
# In seconds, about as long as a restart of the server, so that some calls time out and others succeed after it.
TIMEOUT = 1.0
# A request that needs more attempts is taken as not served, since gRPC itself repeats each within its deadline.
MAX_ATTEMPTS = 40


@dataclass
class Request:
    """A request, with the number of attempts and all answers. `target` is the version that it moves."""

    token: str
    kind: str
    call: Call[Any]
    effects: int
    target: str = ""
    attempts: int = 0
    answers: list[list[ModelVersion]] = field(default_factory=list)
    settled: bool = False


class Tally:
    """The counts of a round, which threads can wait for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.begun = 0
        self.lost = 0
        self._running = 0

    def count(self, *, begun: int = 0, lost: int = 0, running: int = 0) -> None:
        with self._changed:
            self.begun += begun
            self.lost += lost
            self._running += running
            self._changed.notify_all()

    def wait_until_begun(self, attempts: int) -> None:
        """Wait until so many attempts were started, or all clients have finished."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun >= attempts or not self._running, 60)


class FaultyClient(threading.Thread):
    """A client that repeats each request until it has an answer, loses some answers, and crashes now and then."""

    def __init__(self, url: str, seed: str, turns: int, tally: Tally, known: dict[str, list[int]]) -> None:
        super().__init__(name=seed)
        self._url = url
        self._choose = random.Random(seed)
        self._turns = turns
        self._tally = tally
        self._known = known
        tally.count(running=1)

    def run(self) -> None:
        client = Client(self._url, timeout=TIMEOUT)
        try:
            for turn in range(self._turns):
                request = self._request(f"{self.name}/{turn}")
                self._tally.requests.append(request)
                if not self._send(client, request):
                    client.close()
                    client = Client(self._url, timeout=TIMEOUT)
        except TallymarkError as error:
            self._tally.problems.append(f"{self.name}: {error!r}")
        finally:
            client.close()
            self._tally.count(running=-1)

    def _send(self, client: Client, request: Request) -> bool:
        """Send a request until it is answered. Return False if the client crashes before."""
        while True:
            request.attempts += 1
            assert request.attempts < MAX_ATTEMPTS, request
            self._tally.count(begun=1)
            try:
                answer = client.run_call(request.call)
            except Unavailable:
                if self._choose.random() < CRASH_SHARE:
                    return False
                continue
            request.answers.append(list(versions_in(answer)))
            if self._choose.random() < LOST_SHARE:
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
            kinds = (create, create, create_batch, promote, promote, set_alias, log)
        reference = f"{model}/{self._choose.choice(numbers)}" if numbers else model
        return self._choose.choice(kinds)(token, model, reference)


def versions_in(answer: Any) -> Iterator[ModelVersion]:
    """Yield the versions in an answer."""
    yield from answer if isinstance(answer, list) else [answer]


def create(token: str, model: str, _: str) -> Request:
    """Create a version with the token as its description, and in half of the cases as its name."""
    name = token.replace("/", "-") if hash_of(token) % 2 else ""
    return Request(token, "create", calls.create_version(PROJECT, model, NewVersion(name, token)), 1)


def create_batch(token: str, model: str, _: str) -> Request:
    """Create three versions in a batch."""
    new = [NewVersion(description=token) for _ in range(3)]
    return Request(token, "create", calls.create_versions(PROJECT, model, new), len(new))


def promote(token: str, _: str, reference: str) -> Request:
    """Move a version to a stage by force, with the token as the reason."""
    stage = ("production", "staging", "archived")[hash_of(token) % 3]
    call = calls.set_stage(PROJECT, reference, stage, force=True, reason=token, etag="")
    return Request(token, "promote", call, 1, reference)


def set_alias(token: str, _: str, reference: str) -> Request:
    """Set an alias, with the token as the reason."""
    alias = ("champion", "canary")[hash_of(token) % 2]
    call = calls.set_alias(PROJECT, reference, alias, expected_number=None, reason=token)
    return Request(token, "set alias", call, 1, reference)


def log(token: str, _: str, reference: str) -> Request:
    """Log the token as metadata of a version."""
    return Request(token, "log", calls.log_metadata(PROJECT, reference, {"token": token}, ()), 1)


def hash_of(token: str) -> int:
    """Return a number that depends on the token only, also across processes."""
    return sum(token.encode())
