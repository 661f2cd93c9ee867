"""Replays a project's log event by event, and reports what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Project
from tallymark_server.storage.contract import Problem
from tallymark_server.storage.log.chain import SALT, chained, digest_of
from tallymark_server.storage.log.event_rows import event_of, row_of
from tallymark_server.storage.log.seals import Seal


class ImpossibleEventError(Exception):
    """Raised when an event cannot have happened after the events before it; the message says why."""


class Replay:
    """The state after the events of one project's log that were replayed so far.

    Args:
        name: what people call the project
        log_id: the log's id
        project_event: brings the tables to the state after the next event; raises ImpossibleEventError
    """

    def __init__(self, name: str, log_id: str, project_event: Callable[[Event], Awaitable[None]]) -> None:
        self._project_event = project_event
        self._name = name
        self._log_id = log_id
        self._last_numbers: dict[int, int] = {}
        self.time = 0
        self.last_model_id = 0
        self.revision = 0
        self.hash = b""

    async def event(self, columns: Sequence[Any], model: int, seal: Seal) -> list[Problem]:
        """Return everything that is wrong with the next event: what `event_of` takes, its model, and its seal."""
        revision, number, image = columns[0], columns[9], columns[10]
        where = f"project {self._name}, revision {revision}"
        problems: list[Problem] = []
        if revision != self.revision + 1:
            problems.append(Problem(where, f"the event before it is {self.revision}: events are missing"))
        self.revision = revision
        try:
            event = event_of(columns)
        except (ValueError, TypeError, KeyError, AttributeError, DataDamaged) as error:
            self.hash = seal.hash
            return [*problems, Problem(where, f"its image cannot be read: {error!r}")]
        problems += self._in_order(event, where)
        row = row_of(event, model, number, image)
        if event.erased_at != seal.erased_at:
            problems.append(Problem(where, "it does not say by which event content of it was erased last"))
        if len(seal.salt) != SALT or digest_of(seal.salt, row) != seal.digest:
            problems.append(Problem(where, "its content is not that of its digest"))
        self.hash = chained(self.hash, self._log_id, row, seal.first_digest)
        if self.hash != seal.hash:
            problems.append(Problem(where, "its hash does not follow from the event and the hash before it"))
            self.hash = seal.hash
        try:
            await self._project_event(event)
        except ImpossibleEventError as error:
            problems.append(Problem(where, f"it cannot have happened after the events before it: {error}"))
        return problems

    def _in_order(self, event: Event, where: str) -> Iterator[Problem]:
        if event.time < self.time:
            yield Problem(where, "its time is before that of the event before it")
        self.time = event.time
        if getattr(event.image, "mod_revision", None) != event.revision:
            yield Problem(where, "its image is of another revision")
        if isinstance(event.image, Project):
            if event.revision != 1:
                yield Problem(where, "it creates the project, but is not the first event of the log")
            if (event.image.name, event.image.log_id) != (self._name, self._log_id):
                yield Problem(where, f"it creates project {event.image.name} with the log {event.image.log_id}")
        if isinstance(event.image, Model):
            self.last_model_id = max(self.last_model_id, event.image.id)
        if event.kind is Kind.VERSION_CREATED and isinstance(event.image, ModelVersion):
            version = event.image
            expected = self._last_numbers.get(version.model_id, 0) + 1
            if version.number != expected:
                yield Problem(where, f"it gives number {version.number}, and {expected} is next in the model's line")
            self._last_numbers[version.model_id] = version.number
