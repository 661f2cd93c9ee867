"""Reads of the registry, each from one committed state, however many lookups it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tallymark_server.domain.errors import ArtifactNotFound, ModelNotFound, RevisionInFuture, RunNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Artifact, Model, ModelVersion, Point, Run, RunStep
from tallymark_server.domain.query import (
    ARTIFACT_FIELDS,
    MODEL_FIELDS,
    RUN_FIELDS,
    VERSION_FIELDS,
    Fields,
    Kind,
    Order,
    Query,
    SortKey,
)
from tallymark_server.domain.reference import Reference
from tallymark_server.domain.state import missing
from tallymark_server.filters import parse, parse_order
from tallymark_server.page_tokens import make_token, page_size, parse_token, revision_of
from tallymark_server.storage.contract import Direction, Head, Lineage, Listed, Page, Scope, Snapshot

T = TypeVar("T")
MAX_NODES = 1000
_BY_NAME = Order("name", Kind.TEXT)
_BY_NUMBER = Order("number", Kind.NUMBER, descending=True)
_BY_START = Order("start_revision", Kind.NUMBER)
_BY_LATEST_START = replace(_BY_START, descending=True)


class ReadAt(Struct, frozen=True):
    """When to read: at a revision, or at a time in microseconds since 1970, UTC; now if neither is set."""

    revision: int | None = None
    time: int | None = None

    @property
    def scope(self) -> str:
        """The form in page tokens, the same in every release."""
        return f"at {self.revision} {self.time}"


NOW = ReadAt()


def page_read_at(page_token: str, read_at: ReadAt) -> ReadAt:
    """Return when a page reads: at its token's revision if it has one, else as requested. Raises InvalidPageToken."""
    return ReadAt(revision_of(page_token)) if page_token else read_at


class ListOptions(Struct, frozen=True, kw_only=True):
    """The options of a list request: page size, page token, filter and order. `deleted` includes deleted items."""

    page_size: int = 0
    page_token: str = ""
    filter: str = ""
    order_by: str = ""
    deleted: bool = False
    read_at: ReadAt = NOW


class Listing(Struct, Generic[T], frozen=True):
    """A page of a list, the token of the next page (empty after the last), and the revision that it reads at."""

    items: list[T]
    next_page_token: str
    revision: int


class Named(NamedTuple):
    """A version by its model and a reference; a model if there is no reference."""

    model: str
    reference: Reference | None = None


class SnapshotReader:
    """Reads of one project from one committed state. Every method raises ProjectNotFound."""

    def __init__(self, snapshot: Snapshot, project: str) -> None:
        self._snapshot = snapshot
        self._project = project

    async def revision(self, read_at: ReadAt) -> int | None:
        """Return the revision to read at, None for now. Raises RevisionInFuture."""
        if read_at.time is not None:
            return await self._snapshot.revision_at(self._project, read_at.time)
        if read_at.revision is not None:
            check_past(read_at.revision, await self._snapshot.head(self._project))
        return read_at.revision

    async def model(self, name: str, *, deleted: bool, at: int | None) -> Model:
        """Return the model of that name, a deleted one only if `deleted`. Raises ModelNotFound."""
        model = await self._snapshot.model(self._project, name, at=at)
        if model is None or model.purged or (model.delete_time is not None and not deleted):
            renamed_to = await self._snapshot.renamed(self._project, name) if model is None else None
            raise ModelNotFound(self._project, name, renamed_to)
        return model

    async def version(
        self, meant: Named | ModelVersion, *, deleted: bool = False, at: int | None = None
    ) -> ModelVersion:
        """Return the version. Raises ModelNotFound, VersionNotFound, StageEmpty or AliasNotFound."""
        if isinstance(meant, ModelVersion):
            return meant
        assert meant.reference is not None  # noqa: S101 - a model is no version
        name, reference = meant.model, meant.reference
        version = await self._snapshot.version(self._project, name, reference, of_deleted=deleted, at=at)
        if version is None or (version.delete_time is not None and not deleted):
            await self.model(name, deleted=deleted, at=at)
            raise missing(self._project, name, reference)
        return version

    async def run(self, run_id: str, at: int | None = None) -> Run:
        """Return the run of that id. Raises RunNotFound."""
        run = await self._snapshot.run(self._project, run_id, at=at)
        if run is None:
            raise RunNotFound(self._project, run_id)
        return run

    async def models(self, options: ListOptions) -> Listing[Model]:
        """Return the project's models that match the filter. Raises InvalidFilter."""
        query, scope = await self._query(f"models of {self._project}", options, MODEL_FIELDS, _BY_NAME)
        return _listing(await self._snapshot.models(self._project, query), scope)

    async def versions(self, model: str, options: ListOptions) -> Listing[ModelVersion]:
        """Return the model's versions that match the filter. Raises ModelNotFound or InvalidFilter."""
        query, scope = await self._query(f"versions of {self._project}/{model}", options, VERSION_FIELDS, _BY_NUMBER)
        found = await self.model(model, deleted=options.deleted, at=query.at)
        return _listing(await self._snapshot.versions(self._project, found, query), scope)

    async def points(
        self, meant: Named | ModelVersion, keys: Sequence[str], size: int, token: str, read_at: ReadAt
    ) -> Listing[Point]:
        """Return points of the version's metrics, by metric and step. Raises RevisionInFuture."""
        at = await self.revision(page_read_at(token, read_at))
        version = await self.version(meant, at=at)
        scope = f"points of {self._project}/{version.model}/{version.number} {sorted(keys)} {read_at.scope}"
        key, step = parse_token(token, scope, (str, int))[1] if token else ("", -1)
        limit = page_size(size)
        after = (str(key), int(step or 0))
        page = await self._snapshot.points(self._project, version, keys, after, limit + 1, at=at)
        return _page(page, at, limit, scope, lambda point: (point.key, point.step))

    async def artifact(self, meant: Named | ModelVersion, name: str, ordinal: int | None, at: int | None) -> Artifact:
        """Return the artifact of the version, of that ordinal or the newest. Raises ArtifactNotFound."""
        version = await self.version(meant, at=at)
        artifact = await self._snapshot.artifact(self._project, version, name, ordinal, at=at)
        if artifact is None:
            called = name if ordinal is None else f"{name}@{ordinal}"
            raise ArtifactNotFound(self._project, version.model, version.number, called)
        return artifact

    async def artifacts(self, meant: Named | ModelVersion, options: ListOptions) -> Listing[Artifact]:
        """Return the version's artifacts that match the filter. Raises InvalidFilter."""
        version = await self.version(meant, at=await self.revision(page_read_at(options.page_token, options.read_at)))
        of = f"artifacts of {self._project}/{version.model}/{version.number}"
        query, scope = await self._query(of, options, ARTIFACT_FIELDS, _BY_START)
        return _listing(await self._snapshot.artifacts(self._project, version, query), scope)

    async def runs(self, options: ListOptions, meant: Named | ModelVersion | None) -> Listing[Run]:
        """Return the runs, or those that created or used a version, that match the filter. Raises InvalidFilter."""
        at = await self.revision(page_read_at(options.page_token, options.read_at))
        version = None if meant is None else await self.version(meant, at=at)
        of = f"runs of {self._project} {version and (version.model_id, version.number)}"
        query, scope = await self._query(of, options, RUN_FIELDS, _BY_LATEST_START)
        return _listing(await self._snapshot.runs(self._project, query, version), scope)

    async def steps(self, run_id: str, size: int, token: str, read_at: ReadAt) -> Listing[RunStep]:
        """Return the run's steps in the order of their starts. Raises RunNotFound or RevisionInFuture."""
        await self.run(run_id, await self.revision(read_at))
        scope = f"steps of {self._project} {run_id} {read_at.scope}"
        at = await self.revision(page_read_at(token, read_at))
        (after,) = parse_token(token, scope, (int,))[1] if token else (0,)
        return _listing(
            await self._snapshot.steps(self._project, run_id, int(after or 0), page_size(size), at=at), scope
        )

    async def history(self, scope: Scope, named: Named | None, size: int) -> tuple[Page[Event], Scope, Scope | None]:
        """Return events in the scope, of the model or version if one is named, and the scope with its id.

        If very many events were searched in vain, also return the rest of the scope, else None.
        """
        if named is not None and named.reference is not None:
            version = await self.version(named, deleted=True)
            scope = replace(scope, model_id=version.model_id, number=version.number)
        elif named is not None:
            scope = replace(scope, model_id=(await self.model(named.model, deleted=True, at=None)).id)
        page, left = await self._snapshot.history(self._project, scope, page_size(size))
        check_past(scope.after, page.head)
        return page, scope, left

    async def lineage(
        self, start: Named | ModelVersion | Run | str, direction: Direction, depth: int, read_at: ReadAt
    ) -> tuple[Lineage, int]:
        """Return the lineage around the start, a version, run or run id, and the revision that it reads at."""
        at = await self.revision(read_at)
        begin: ModelVersion | Run
        match start:
            case Run():
                begin = start
            case str():
                begin = await self.run(start, at)
            case _:
                begin = await self.version(start, at=at)
        page = await self._snapshot.lineage(self._project, begin, direction, depth, MAX_NODES, at=at)
        return page.items[0], page.head.revision if at is None else at

    async def _query(self, of: str, options: ListOptions, fields: Fields, own: Order) -> tuple[Query, str]:
        """Return the query of a page, and the scope of its token. All pages read at the revision of the first."""
        scope = f"{of} where {options.filter} by {options.order_by} {options.deleted} {options.read_at.scope}"
        condition, order = parse(options.filter, fields), parse_order(options.order_by, fields, own)
        after: tuple[SortKey, ...] = ()
        if options.page_token:
            _, after = parse_token(options.page_token, scope, _key_kinds(order))
        return Query(
            limit=page_size(options.page_size),
            order=order,
            condition=condition,
            after=after,
            at=await self.revision(page_read_at(options.page_token, options.read_at)),
            deleted=options.deleted,
        ), scope


def check_past(revision: int, head: Head) -> None:
    """Raise RevisionInFuture unless the revision has happened."""
    if revision > head.revision:
        raise RevisionInFuture(revision, min(1, head.revision), head.revision)


def _key_kinds(order: tuple[Order, ...]) -> tuple[type, ...]:
    """Return the types of the sort keys of a page token. A fact has two: whether it is missing, and its value."""
    kinds: list[type] = []
    for key in order:
        match key.kind:
            case Kind.FACTS:
                kinds += [int, object]
            case Kind.TEXT:
                kinds.append(str)
            case _:
                kinds.append(int)
    return tuple(kinds)


def _listing(page: Listed[T], scope: str) -> Listing[T]:
    token = "" if page.next is None else make_token(scope, page.at, page.next)
    return Listing(page.items, token, page.at)


def _page(page: Page[T], at: int | None, size: int, scope: str, key: Callable[[T], tuple[SortKey, ...]]) -> Listing[T]:
    items, revision = page.items[:size], page.head.revision if at is None else at
    token = make_token(scope, revision, key(items[-1])) if len(page.items) > size else ""
    return Listing(items, token, revision)
