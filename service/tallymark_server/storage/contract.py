"""What every storage engine promises.

Order      Each project has one log. Revisions go 1, 2, 3, … without a gap; no event's time is before the last one's.
Atomicity  What `append` receives is stored by the commit as a whole, or not at all.
Durability When `write` returns, its changes survive the loss of power.
Isolation  `load` sees every commit before it; nothing changes between the `load` and the commit of one `write`.
Reading    A read sees one committed state, the newest, and never waits for a writer.
Text       Compares and sorts by Unicode code point.
Failure    When the engine cannot work now, StorageUnavailable is raised. The change had no effect, or its whole effect
           although the result is lost; repeating it with the same request_id shows which.
Damage     Damaged data raises DataDamaged, and is never returned as something else than was recorded.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
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
    """Raised when the storage cannot be opened; the message says why, and what to do next."""


class TooMuchError(Exception):
    """Raised when a write must load more than a brief one may; nothing was changed."""


class Awaited(NamedTuple):
    """A running run with a heartbeat timeout, and the time of its last heartbeat, in microseconds."""

    project: str
    run: str
    timeout: int
    last_seen: int


# The name of a project, and the id of a run in it.
RunKey = tuple[str, str]


class Head(Struct, frozen=True):
    """The end of a project's log."""

    log_id: str
    revision: int


class Page(Struct, Generic[T], frozen=True):
    """A page of results, and the end of the log when they were read.

    It may have fewer results than requested, because large ones come in several pages, but is empty only at the end.
    """

    head: Head
    items: list[T]


class Listed(Page[T], frozen=True):
    """A page of a list, the revision that it shows, and the sort keys after which the next begins, None after the last.

    It may be empty before the end of the list: the filter is evaluated for a bounded number of items for one page.
    """

    at: int
    next: tuple[SortKey, ...] | None


class Scope(Struct, frozen=True, kw_only=True):
    """A selection of events: all, those of a model with its versions, or those of one version; of some kinds or any.

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
    """An edge of the lineage: the target came directly from the source."""

    source: NodeKey
    target: NodeKey


class Direction(enum.Flag):
    """The direction in which lineage is followed from its start."""

    UPSTREAM = enum.auto()
    DOWNSTREAM = enum.auto()
    BOTH = UPSTREAM | DOWNSTREAM


class Lineage(Struct, frozen=True):
    """The nodes and edges of a lineage; `truncated` if there are more."""

    nodes: list[Node]
    edges: list[Edge]
    truncated: bool


class Problem(NamedTuple):
    """What is wrong, and where."""

    where: str
    what: str


class Proof(Struct, frozen=True):
    """The result of verifying a log: its end at that time, the number of problems, and the first of them.

    `erased` is the number of events whose content was erased, and `erased_by` the first of the events that erased it.
    """

    events: int
    mark: Mark
    problem_count: int
    problems: list[Problem]
    erased: int = 0
    erased_by: list[int] = field(default_factory=list)


class Piece(Struct, frozen=True):
    """Bytes of an export, and the revision that it has reached with the lines of these bytes."""

    lines: bytes
    revision: int


class Writing(Protocol):
    """The open transaction of one write."""

    async def load(self, project: str, keys: Keys, *, most: int | None = None) -> State:
        """Return everything of the project that the keys name; a key whose resource does not exist has None.

        A pointer comes with the version that it points at, a run with the version of its pipeline, and a receipt with
        everything that its request returned, as it was then. A project that does not exist comes with an empty log of a
        new id, and exists once an event is appended. Raises TooMuchError when runs of `keys.made` have created
        more than `most` versions.
        """
        ...

    async def append(self, state: State, events: Sequence[Event], receipts: Sequence[tuple[str, Receipt]]) -> None:
        """Append events to the log of the state's project, update the projection, and add receipts by request_id.

        Receipts without events are not part of the log, and expire, the oldest first: all of them after a day, or
        sooner when there are very many, but not within ten minutes.
        """
        ...


class Snapshot(Protocol):
    """One committed state. Its methods have the arguments and errors of those of `Storage`."""

    async def head(self, project: str) -> Head:
        """Return the end of the project's log."""
        ...

    async def revision_at(self, project: str, time: int) -> int:
        """Return the last revision at or before the time, 0 if there is none."""
        ...

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """Return the model of that name, deleted or not, with its holders; without `at`, also a purged one."""
        ...

    async def renamed(self, project: str, old_name: str) -> str | None:
        """Return the present name of the model that last had the old name."""
        ...

    async def models(self, project: str, query: Query) -> Listed[Model]:
        """Return a page of the project's models, each with its holders."""
        ...

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """Return the version that the reference means, deleted or not; of a deleted model only with `of_deleted`."""
        ...

    async def versions(self, project: str, model: Model, query: Query) -> Listed[ModelVersion]:
        """Return a page of the model's versions."""
        ...

    async def points(
        self,
        project: str,
        version: ModelVersion,
        keys: Sequence[str],
        after: tuple[str, int],
        limit: int,
        *,
        at: int | None = None,
    ) -> Page[Point]:
        """Return points of these metrics (none: of all) of the version, by metric and step, after those in `after`."""
        ...

    async def artifact(
        self, project: str, version: ModelVersion, name: str, ordinal: int | None, *, at: int | None = None
    ) -> Artifact | None:
        """Return the version's artifact of that name: of that ordinal, or the newest. None if it was unlinked."""
        ...

    async def artifacts(self, project: str, version: ModelVersion, query: Query) -> Listed[Artifact]:
        """Return a page of the version's artifacts, without unlinked ones."""
        ...

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """Return the run of that id."""
        ...

    async def runs(self, project: str, query: Query, version: ModelVersion | None = None) -> Listed[Run]:
        """Return a page of the project's runs, or of those that created or used a version."""
        ...

    async def steps(
        self, project: str, run_id: str, after: int, limit: int, *, at: int | None = None
    ) -> Listed[RunStep]:
        """Return steps of the run that were started after that revision, in the order of their starts."""
        ...

    async def history(self, project: str, scope: Scope, limit: int) -> tuple[Page[Event], Scope | None]:
        """Return events of the scope; if none is found among very many, also the part of the scope left to read."""
        ...

    async def lineage(
        self,
        project: str,
        start: ModelVersion | Run,
        direction: Direction,
        depth: int,
        limit: int,
        *,
        at: int | None = None,
    ) -> Page[Lineage]:
        """Return the lineage of the start, at most so many edges away and so many nodes.

        Versions are without description, metadata and series, runs without command, parameters and recording problems.
        """
        ...


class Reads(Protocol):
    """Reads of the log of every project, and of the tables that are its projection.

    Every method with a project raises ProjectNotFound. `at` is the revision of the state to read; None is the present
    one. Only `events`, `history` and `export` return what was purged; `model` returns a purged model too.
    """

    async def project(self, name: str) -> Project:
        """Return the project of that name."""
        ...

    async def projects(self, after: str, limit: int) -> list[Project]:
        """Return projects by name, after that name."""
        ...

    async def head(self, project: str) -> Head:
        """Return the end of the project's log."""
        ...

    async def revision_at(self, project: str, time: int) -> int:
        """Return the last revision at or before the time, 0 if there is none."""
        ...

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """Return the model of that name, deleted or not, with its holders; without `at`, also a purged one."""
        ...

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """Return the version that the reference means, deleted or not; of a deleted model only with `of_deleted`."""
        ...

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """Return the run of that id."""
        ...

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        """Return events after that revision, in order."""
        ...

    async def read(self, question: Callable[[Snapshot], Coroutine[Any, Any, T]], *, brief: bool = False) -> T:
        """Call the question with one committed state, the newest, and return its result. Raises its errors unchanged.

        The question awaits nothing but the methods of its argument. It may run in another thread, unless it is brief: a
        few steps through indexes.
        """
        ...


class Signs(Protocol):
    """Signs of life of runs, which servers on one storage share. One may be lost with the power."""

    async def note(self, runs: Sequence[RunKey]) -> list[RunKey]:
        """Note that these runs are alive now. Return those that need not send heartbeats. Raises StorageUnavailable."""
        ...

    async def silences(self, runs: Sequence[RunKey]) -> dict[RunKey, float]:
        """Return for how many seconds no server has noted a sign of each run, without those that have no sign yet.

        Raises StorageUnavailable.
        """
        ...


class Storage(Reads, Protocol):
    """The log of every project, and the tables that are its projection; each read sees the newest committed state."""

    def line(self, project: str) -> str:
        """Return the name of the line in which the project's changes wait.

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

    async def check_writable(self) -> None:
        """Write durably, without a change to anything. Raises StorageUnavailable if no change can be committed now."""
        ...

    async def follow(self, watched: Callable[[], Iterable[str]], ring: Callable[[Iterable[str]], None]) -> None:
        """Ring for those of the watched projects to whose logs other servers have added, until cancelled.

        It may ring in vain. A server rings by itself for what it has written.
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
        """Return a page of the project's models, each with its holders."""
        ...

    async def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        """Return running runs with a heartbeat_timeout in all projects, after that one in a fixed order."""
        ...

    @property
    def signs(self) -> Signs | None:
        """The signs of life of runs that servers on this storage share; None if no other server can use it."""
        ...

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        """Verify the project's log and tables, and that the log has the mark's hash at the mark's revision.

        Nothing is reported about other projects. Another process verifies, so that reads and writes go on. One project
        is verified at a time: others wait, and Overloaded is raised when too many wait. Cancelling the call ends it.
        """
        ...

    def export(self, project: str, at: int) -> AsyncGenerator[Piece, None]:
        """Yield the project's log up to the revision `at`, which exists, as lines that `import` reads.

        Pieces are bounded, and each is read when it is requested. The same revision gives the same bytes, whatever is
        written meanwhile, and no transaction spans two pieces. Raises Overloaded when too many exports are under way,
        and DataDamaged if the log is broken.
        """
        ...
