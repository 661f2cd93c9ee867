"""What every storage engine promises.

Order      Each project has one log. Revisions go 1, 2, 3, … without a gap; no event's time is before the last one's.
Atomicity  What `append` is given is there after the commit as a whole, or not at all.
Durability When `write` returns, its changes survive the loss of power.
Isolation  `load` sees every commit before it; nothing changes between the `load` and the commit of one `write`.
Reading    A read sees one committed state, the newest, and never waits for a writer.
Text       Compares and sorts by Unicode code point.
Failure    Whatever the engine raises when it cannot work now arrives as StorageUnavailable, and has had no effect, or
           has had its whole effect though the answer is lost; the same request_id tells which.
Damage     What is found to be damaged arrives as DataDamaged, and never as something else than was recorded.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from msgspec import Struct, field

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Artifact, Model, ModelVersion, Point, Project, Run, RunStep
from tallymark_server.domain.query import Query, SortKey
from tallymark_server.domain.reference import Reference
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.checkpoint import Mark

T = TypeVar("T")


class CannotOpenError(Exception):
    """The storage cannot be opened; the message says why, and what to do next."""


class TooMuchError(Exception):
    """More must be loaded than a brief write can take; nothing was changed."""


class Awaited(NamedTuple):
    """A running run of which heartbeats are awaited, for how long, and when it was heard of last, in microseconds."""

    project: str
    run: str
    timeout: int
    last_seen: int


class Head(Struct, frozen=True):
    """Where a project's log stands."""

    log_id: str
    revision: int


class Page(Struct, Generic[T], frozen=True):
    """Some of the things asked for, and where the log stood when they were read.

    There may be fewer than were asked for, and never none though there are some: what is large comes in several pages.
    """

    head: Head
    items: list[T]


class Listed(Page[T], frozen=True):
    """A page of a list, the revision that it shows, and the sort keys after which the next begins, None after the last.

    It may hold none though there are more: of how many a filter is put to for one page is bounded.
    """

    at: int
    next: tuple[SortKey, ...] | None


class Scope(Struct, frozen=True, kw_only=True):
    """Whose events are meant: of all, of a model with its versions, or of one version; of some kinds, or of any.

    After the revision `after`, in order; or, newest first, before the revision `before` (None: from the last).
    """

    model_id: int | None = None
    number: int | None = None
    kinds: frozenset[Kind] = frozenset()
    after: int = 0
    newest_first: bool = False
    before: int | None = None


NodeKey = tuple[str, str | int, int]


class Node(Struct, frozen=True):
    """A version, a run or an artifact, and how many edges it is from the start."""

    key: NodeKey
    depth: int
    resource: ModelVersion | Run | Artifact


class Edge(Struct, frozen=True):
    """That the target came directly from the source."""

    source: NodeKey
    target: NodeKey


class Direction(enum.Flag):
    """Which way lineage is followed from its start."""

    UPSTREAM = enum.auto()
    DOWNSTREAM = enum.auto()
    BOTH = UPSTREAM | DOWNSTREAM


class Lineage(Struct, frozen=True):
    """What came from what; `truncated` if there is more."""

    nodes: list[Node]
    edges: list[Edge]
    truncated: bool


class Problem(NamedTuple):
    """What is wrong, and where."""

    where: str
    what: str


class Proof(Struct, frozen=True):
    """Where the log stood when it was proved, and what is wrong: how many things, and the first of them.

    `erased` is from how many events content was erased, and `erased_by` the first of the events that did it.
    """

    events: int
    mark: Mark
    problem_count: int
    problems: list[Problem]
    erased: int = 0
    erased_by: list[int] = field(default_factory=list)


class Piece(Struct, frozen=True):
    """Bytes of an export, and the revision to which it has come with the lines that they are part of."""

    lines: bytes
    revision: int


class Writing(Protocol):
    """The open transaction of one write."""

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        """Return everything of the project that the keys ask for; a key whose resource does not exist has None.

        A pointer comes with the version at which it points, a run with the version of its pipeline, and a receipt with
        everything that its request was answered with, as it was then. A project that does not exist comes with an empty
        log of a new id, and exists once an event is appended. Raises TooMuchError when runs of `keys.made` have created
        more than `most` versions.
        """
        ...

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        """Append events to the log of the state's project, update the projection, and add receipts by request_id.

        Receipts without events are no part of the log, and expire, the oldest first: all of them after a day, and
        sooner, but not within ten minutes, when there are very many.
        """
        ...


class Snapshot(Protocol):
    """One committed state. What its methods are given and raise is as of those of `Storage`."""

    def head(self, project: str) -> Head:
        """Where the project's log stands."""
        ...

    def revision_at(self, project: str, time: int) -> int:
        """The last revision at or before the time, 0 if there is none."""
        ...

    def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """The model of that name, deleted or not, with its holders; now, a purged one too."""
        ...

    def renamed(self, project: str, old_name: str) -> str | None:
        """What the model that was last called so is called now."""
        ...

    def models(self, project: str, query: Query) -> Listed[Model]:
        """A page of the project's models, each with its holders."""
        ...

    def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """The version that the reference means, deleted or not; of a deleted model only if that is asked for."""
        ...

    def versions(self, project: str, model: Model, query: Query) -> Listed[ModelVersion]:
        """A page of the model's versions."""
        ...

    def points(
        self,
        project: str,
        version: ModelVersion,
        keys: Sequence[str],
        after: tuple[str, int],
        limit: int,
        *,
        at: int | None = None,
    ) -> Page[Point]:
        """Points of these metrics of the version (none: of all), by metric and step, after that metric and step."""
        ...

    def artifact(
        self, project: str, version: ModelVersion, name: str, ordinal: int | None, *, at: int | None = None
    ) -> Artifact | None:
        """The artifact of that name of the version: of that ordinal, or the newest. None if it was unlinked."""
        ...

    def artifacts(self, project: str, version: ModelVersion, query: Query) -> Listed[Artifact]:
        """A page of the version's artifacts, without unlinked ones."""
        ...

    def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """The run of that id."""
        ...

    def runs(self, project: str, query: Query, version: ModelVersion | None = None) -> Listed[Run]:
        """A page of the project's runs, or of those that made or used a version."""
        ...

    def steps(self, project: str, run_id: str, after: int, limit: int, *, at: int | None = None) -> Listed[RunStep]:
        """Steps of the run in the order in which they were started, started after that revision."""
        ...

    def history(self, project: str, scope: Scope, limit: int) -> tuple[Page[Event], Scope | None]:
        """Events of what the scope names; if there is none among very many, also what of it is still to be read."""
        ...

    def lineage(
        self,
        project: str,
        start: ModelVersion | Run,
        direction: Direction,
        depth: int,
        limit: int,
        *,
        at: int | None = None,
    ) -> Page[Lineage]:
        """Return what came from what, around the start, at most so many edges away and so many nodes.

        Versions are without description, metadata and series, runs without command, parameters and recording problems.
        """
        ...


class Reads(Protocol):
    """What is read of the log of every project, and of the tables that are its projection.

    Every method that is given a project raises ProjectNotFound. `at` is a revision: what is read is as it was then;
    None is now. What was purged is found by `events`, `history` and `export` alone; a purged model also by `model`.
    """

    async def project(self, name: str) -> Project:
        """Return the project of that name."""
        ...

    async def projects(self, after: str, limit: int) -> list[Project]:
        """Return projects by name, after that name."""
        ...

    async def head(self, project: str) -> Head:
        """Where the project's log stands."""
        ...

    async def revision_at(self, project: str, time: int) -> int:
        """The last revision at or before the time, 0 if there is none."""
        ...

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """The model of that name, deleted or not, with its holders; now, a purged one too."""
        ...

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """The version that the reference means, deleted or not; of a deleted model only if that is asked for."""
        ...

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """The run of that id."""
        ...

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        """Events after that revision, in order."""
        ...

    async def read(self, question: Callable[[Snapshot], T], *, brief: bool = False) -> T:
        """Return what was asked of one committed state, the newest; what the question raises arrives as it is.

        The question touches nothing but its argument. It may be asked in another thread, unless it is brief: a few
        steps through indexes.
        """
        ...


class Storage(Reads, Protocol):
    """The log of every project, and the tables that are its projection; each read sees the newest committed state."""

    def line(self, project: str) -> str:
        """Return the line in which the project's changes wait.

        Projects of one line share transactions. Lines do not wait for each other.
        """
        ...

    async def write(self, work: Callable[[Writing], Coroutine[Any, Any, T]], *, brief: bool = False) -> T:
        """Do the work in one durable transaction, and return its result. An exception undoes all of it.

        The work belongs to projects of one line, awaits nothing but the methods of its argument, and changes nothing
        else: it may be done more than once, and only the last time has an effect. Unless it is brief, a matter of
        milliseconds, it may run outside the event loop; what must wait for the disk, or for another program, always
        does. The writer starts a write of a line when the one before it has ended.
        """
        ...

    def at_one_moment(self) -> AbstractAsyncContextManager[Reads]:
        """Yield reads that all see one committed state, the newest when the block was entered.

        Few such blocks are open at the same time, and others wait: a block lasts as long as it takes to answer one
        request.
        """
        ...

    async def newest_time(self) -> int:
        """Return the time of the newest event of all projects, in microseconds since 1970; 0 if there is none."""
        ...

    async def models(self, project: str, query: Query) -> Listed[Model]:
        """A page of the project's models, each with its holders."""
        ...

    async def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        """Return running runs with a heartbeat_timeout in all projects, after that one in a fixed order."""
        ...

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        """What is wrong with the project's log and tables, and whether the log begins as the mark tells.

        Nothing is told of other projects. The proof is made outside this process, so that reads and writes go on. One
        is made at a time: others wait, and Overloaded is raised when too many wait. Cancelling it ends it.
        """
        ...

    def export(self, project: str, at: int) -> AsyncGenerator[Piece, None]:
        """The project's log up to the revision `at`, which has happened, as lines that `import` takes.

        Pieces are bounded, and read when they are asked for; the same revision gives the same bytes, whatever is
        written meanwhile, and no transaction lives from one piece to the next. Overloaded when too many are under way;
        a broken log ends it with DataDamaged.
        """
        ...
