"""What every storage engine promises.

Order      Each project has one log. Revisions go 1, 2, 3, … without a gap; no event's time is before the last one's.
Atomicity  What `append` is given is there after the commit as a whole, or not at all.
Durability When `write` returns, its changes survive the loss of power.
Isolation  `load` sees every commit before it; nothing changes between the `load` and the commit of one `write`.
Reading    A read sees one committed state, the newest, and never waits for a writer.
Text       Compares and sorts by Unicode code point.
Failure    Whatever the engine raises when it cannot work now arrives as StorageUnavailable, and has had no effect, or
           has had its whole effect though the answer is lost; the same request_id tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.conditions import Condition
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Model, ModelVersion, Run
from tallymark_server.domain.reference import Reference
from tallymark_server.domain.state import Receipt, State

T = TypeVar("T")


class CannotOpenError(Exception):
    """The storage cannot be opened; the message says why, and what to do next."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a project's log stands."""

    log_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the things asked for, and where the log stood when they were read."""

    head: Head
    items: list[T]


class Writing(Protocol):
    """One open transaction of the one writer."""

    def load(self, project: str, keys: Keys) -> State:
        """Everything of the project that the keys ask for, each key with None if it is missing; ProjectNotFound.

        A pointer comes with the version at which it points, a run with the version of its pipeline, and a receipt with
        its events.
        """
        ...

    def append(self, state: State, events: Sequence[Event], receipts: Iterable[tuple[str, Receipt]]) -> None:
        """Add events, with what they make true, and receipts by request_id, to the log of the state's project."""
        ...


class Storage(Protocol):
    """The log of every project, and the tables that are its projection."""

    async def write(self, work: Callable[[Writing], T]) -> T:
        """Do the work in one durable transaction, and give back what it gave. An exception undoes all of it.

        The work runs outside the event loop, and touches nothing but its arguments. Only one write is under way at a
        time: the writer awaits each before it starts the next.
        """
        ...

    async def head(self, project: str) -> Head:
        """Where the project's log stands; ProjectNotFound."""
        ...

    async def model(self, project: str, name: str) -> Model | None:
        """The model of that name, deleted, purged or not; ProjectNotFound."""
        ...

    async def renamed(self, project: str, old_name: str) -> str | None:
        """What the model that was last called so is called now; ProjectNotFound."""
        ...

    async def models(
        self, project: str, after: str, limit: int, *, deleted: bool = False, condition: Condition | None = None
    ) -> Page[Model]:
        """Models by name, after that name, of which the condition is true; ProjectNotFound.

        Deleted ones only if that is asked for.
        """
        ...

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False
    ) -> ModelVersion | None:
        """The version that the reference means, deleted or not; of a deleted model only if that is asked for.

        ProjectNotFound.
        """
        ...

    async def versions(
        self,
        project: str,
        model: str,
        before: int,
        limit: int,
        *,
        deleted: bool = False,
        condition: Condition | None = None,
    ) -> Page[ModelVersion]:
        """Versions of the model, of which the condition is true, by number from the highest down, below that number.

        ProjectNotFound. Deleted ones, and those of a deleted model, only if that is asked for.
        """
        ...

    async def run(self, project: str, run_id: str) -> Run | None:
        """The run of that id; ProjectNotFound."""
        ...

    async def runs(self, project: str, before: int, limit: int) -> Page[Run]:
        """Runs from the last started back, started before that revision; ProjectNotFound."""
        ...

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        """Events after that revision, in order; ProjectNotFound."""
        ...
