"""The checks of a log after faults: each request has its effect once, and no acknowledged change is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from faults.request_mix import MODELS, Request
from tallymark import Client
from tallymark.types.resources import Event, ModelVersion
from tallymark.types.enums import Stage
from tallymark_server.storage.sqlite.verification import verify


class Ledger:
    """The events that were read so far, with the effects of each token."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._effects: dict[str, list[Event]] = defaultdict(list)

    @property
    def effects(self) -> int:
        return sum(map(len, self._effects.values()))

    def problems(self, client: Client, db: Path, requests: Sequence[Request]) -> list[str]:
        """Return the problems of the file and of all requests that were ever sent."""
        self._read(client)
        found = [f"verify: {problem}" for problem in verify(db).problems]
        found += [problem for request in requests for problem in self._check_request(request)]
        return found + list(self._check_numbers(client))

    def _read(self, client: Client) -> None:
        for event in client.list_events(len(self.events)):
            self.events.append(event)
            if token := token_of(event):
                self._effects[token].append(event)

    def _check_request(self, request: Request) -> Iterator[str]:
        """Yield the problems with the effects and the answers of one request."""
        effects = self._effects[request.token]
        where = f"{request.kind} {request.token}, sent {request.attempts} times"
        if any(after.revision != before.revision + 1 for before, after in pairwise(effects)):
            yield f"{where}: its effects are not adjacent: {[event.revision for event in effects]}"
        own = [event for event in effects if not request.target or is_move_of(event, request.target)]
        # A request that changes nothing has no effect, and one that was given up may have none.
        least = 0 if not request.settled or request.kind in ("promote", "set alias") else request.effects
        if not least <= len(own) <= request.effects:
            yield f"{where}: it has {len(own)} effects and should have {request.effects}"
        for answer in request.answers:
            yield from self._check_answer(where, effects, request.answers[0], answer)

    def _check_answer(
        self, where: str, effects: Sequence[Event], first: Sequence[ModelVersion], answer: Sequence[ModelVersion]
    ) -> Iterator[str]:
        if effects and first[0].mod_revision >= effects[0].revision and answer != first:
            yield f"{where}: it got different answers, {first} and {answer}"
        for version in answer:
            if version.mod_revision > len(self.events) or self.events[version.mod_revision - 1].resource != version:
                yield f"{where}: the log lacks the acknowledged {version}"

    def _check_numbers(self, client: Client) -> Iterator[str]:
        for model in MODELS:
            versions = list(client.list_versions(model))
            count = client.get_model(model).last_number
            if [version.number for version in versions] != list(range(count, 0, -1)):
                yield f"the numbers of {model} are not 1 to {count}: {versions}"
            for stage in (Stage.PRODUCTION, Stage.STAGING):
                if len(holders := [version for version in versions if version.stage is stage]) > 1:
                    yield f"{model} has more than one version in {stage}: {holders}"


def token_of(event: Event) -> str:
    """Return the token of the request that caused the event, or an empty string."""
    if event.kind in ("stage_changed", "alias_set", "alias_deleted"):
        return event.reason
    if isinstance(event.resource, ModelVersion):
        if event.kind == "version_created":
            return event.resource.description
        if event.kind == "metadata_logged":
            return str(event.resource.metadata["token"])
    return ""


def is_move_of(event: Event, target: str) -> bool:
    """Return whether the event moves that version, and not the previous holder of its stage or alias."""
    version = event.resource
    assert isinstance(version, ModelVersion)
    return event.kind in ("stage_changed", "alias_set") and f"{version.model}/{version.number}" == target
