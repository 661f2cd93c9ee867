"""The door to the registry for every edge: commands go to the line, questions to storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tallymark_server.domain.commands import Command, FinishRun, ResumeRun, Started, StartRun
from tallymark_server.domain.conditions import (
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
from tallymark_server.domain.errors import ArtifactNotFound, ModelNotFound, RevisionInFuture, RunNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Artifact, Model, ModelVersion, Point, Project, Run, RunState, RunStep
from tallymark_server.domain.reference import Reference
from tallymark_server.domain.state import missing
from tallymark_server.filtering import parse, parse_order
from tallymark_server.heartbeats import Heartbeats
from tallymark_server.paging import make_token, page_size, parse_token, revision_of
from tallymark_server.storage.checkpoint import Mark, wrong_hash
from tallymark_server.storage.contract import Head, Lineage, Listed, NodeKey, Page, Piece, Proof, Scope, Storage
from tallymark_server.watching import Bell, Interest, Progress, watch
from tallymark_server.writer import Writer

__all__ = [
    "NOW",
    "Asked",
    "Lineage",
    "Listing",
    "Mark",
    "Moment",
    "NodeKey",
    "Proof",
    "Registry",
    "Scope",
    "shown",
    "wrong_hash",
]

T = TypeVar("T")
MAX_NODES = 1000
_PROJECTS = "projects"
_BY_NAME = Order("name", Kind.TEXT)
_BY_NUMBER = Order("number", Kind.NUMBER, descending=True)
_BY_START = Order("start_revision", Kind.NUMBER)
_BY_LATEST_START = replace(_BY_START, descending=True)


class Moment(Struct, frozen=True):
    """As of when to read: after a revision, or at a time in microseconds since 1970, UTC; neither is now."""

    revision: int | None = None
    time: int | None = None


NOW = Moment()


def shown(page_token: str, moment: Moment) -> Moment:
    """As of when a page is read: the first at the moment asked for, those after it as the first; InvalidPageToken."""
    return Moment(revision_of(page_token)) if page_token else moment


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of a list: a page of at most so many, after the page that gave the token, filtered and ordered."""

    page_size: int = 0
    page_token: str = ""
    filter: str = ""
    order_by: str = ""
    deleted: bool = False
    moment: Moment = NOW


class Listing(Struct, Generic[T], frozen=True):
    """A page of a list, the token of the next (empty after the last), and the revision that it shows."""

    items: list[T]
    next_page_token: str
    revision: int


class Registry:
    """What can be asked of the registry. `heartbeat` is the longest silence, in seconds, of a watch."""

    def __init__(self, storage: Storage, writer: Writer, bell: Bell, heartbeats: Heartbeats, heartbeat: float) -> None:
        self._storage = storage
        self._writer = writer
        self._bell = bell
        self._heartbeats = heartbeats
        self._heartbeat = heartbeat

    async def execute(self, command: Command[T]) -> T:
        """The answer to the command, given after its effect is durable; a RegistryError if it is refused."""
        answer = await self._writer.execute(command)
        run = getattr(command, "run", None)
        if run is not None:
            self._heartbeats.saw_record(command.project, run)
        return answer

    async def project(self, name: str) -> Project:
        """Return the project of that name; ProjectNotFound."""
        return await self._storage.project(name)

    async def projects(self, size: int, token: str) -> tuple[list[Project], str]:
        """Return a page of the projects by name, and the token of the next, empty after the last; InvalidPageToken."""
        _, (after,) = parse_token(token, _PROJECTS, (str,)) if token else (None, ("",))
        limit = page_size(size)
        found = await self._storage.projects(str(after), limit + 1)
        return found[:limit], make_token(_PROJECTS, None, (found[limit - 1].name,)) if len(found) > limit else ""

    async def start_run(self, command: StartRun) -> Started:
        """Start or join the run, and wait for its heartbeats if it sends any; a RegistryError if it is refused."""
        if command.heartbeat_timeout is None:
            return await self.execute(command)
        return await self._heartbeats.kept(self._started(command))

    async def finish_run(self, command: FinishRun) -> Run:
        """Finish the run, and wait for its heartbeats no longer; a RegistryError if it is refused."""
        return await self._heartbeats.kept(self._finished(command))

    async def heartbeat(self, project: str, run_id: str, actor: str) -> tuple[RunState, int | None]:
        """Note that the run is alive, and resume it if it is lost.

        Return its state, and within how many microseconds the next heartbeat must arrive, None if none is awaited.
        RunNotFound.
        """
        if (timeout := self._heartbeats.heard(project, run_id)) is not None:
            return RunState.RUNNING, timeout
        run = await self.run(project, run_id)
        if run.heartbeat_timeout is None or run.state in (RunState.SUCCEEDED, RunState.FAILED):
            return run.state, None
        # Through the line: it may be about to be recorded as lost.
        run = await self._heartbeats.kept(self._resumed(ResumeRun(project=project, actor=actor, run=run_id)))
        return run.state, run.heartbeat_timeout if run.state is RunState.RUNNING else None

    async def _started(self, command: StartRun) -> Started:
        started = await self.execute(command)
        # A repeated request is answered with the run as it was then: it may be lost or finished since.
        self._heartbeats.expect(command.project, await self.run(command.project, command.run))
        return started

    async def _finished(self, command: FinishRun) -> Run:
        run = await self.execute(command)
        self._heartbeats.forget(command.project, command.run)
        return run

    async def _resumed(self, command: ResumeRun) -> Run:
        run = await self.execute(command)
        self._heartbeats.expect(command.project, run)
        return run

    async def model(self, project: str, name: str, *, deleted: bool = False, moment: Moment = NOW) -> Model:
        """The model of that name, also a deleted one if that is asked for; ModelNotFound, RevisionInFuture."""
        model = await self._storage.model(project, name, at=await self._revision(project, moment))
        if model is None or model.purged or (model.delete_time is not None and not deleted):
            raise ModelNotFound(project, name, await self._storage.renamed(project, name) if model is None else None)
        return model

    async def version(
        self, project: str, model: str, reference: Reference, *, deleted: bool = False, moment: Moment = NOW
    ) -> ModelVersion:
        """The version that the reference means; ModelNotFound, VersionNotFound, StageEmpty or AliasNotFound."""
        at = await self._revision(project, moment)
        version = await self._storage.version(project, model, reference, of_deleted=deleted, at=at)
        if version is None or (version.delete_time is not None and not deleted):
            await self.model(project, model, deleted=deleted, moment=moment)
            raise missing(project, model, reference)
        return version

    async def models(self, project: str, asked: Asked) -> Listing[Model]:
        """The project's models of which the filter is true; InvalidFilter."""
        query, scope = await self._query(project, f"models of {project}", asked, MODEL_FIELDS, _BY_NAME)
        return _listing(await self._storage.models(project, query), scope)

    async def versions(self, project: str, model: str, asked: Asked) -> Listing[ModelVersion]:
        """The model's versions of which the filter is true; ModelNotFound, InvalidFilter."""
        of = f"versions of {project}/{model}"
        query, scope = await self._query(project, of, asked, VERSION_FIELDS, _BY_NUMBER)
        found = await self.model(project, model, deleted=asked.deleted, moment=Moment(query.at))
        return _listing(await self._storage.versions(project, found, query), scope)

    async def points(
        self, project: str, version: ModelVersion, keys: Sequence[str], size: int, token: str, moment: Moment = NOW
    ) -> Listing[Point]:
        """Points of the version's metrics, by metric and step; RevisionInFuture."""
        scope = f"points of {project}/{version.model}/{version.number} {sorted(keys)} {moment}"
        at, (key, step) = await self._place(project, token, scope, moment, ("", -1))
        limit = page_size(size)
        page = await self._storage.points(project, version, keys, (str(key), int(step or 0)), limit + 1, at=at)
        return _piece(page, at, limit, scope, lambda point: (point.key, point.step))

    async def artifact(
        self, project: str, version: ModelVersion, name: str, ordinal: int | None, moment: Moment = NOW
    ) -> Artifact:
        """The artifact of that name of the version, of that ordinal or the newest; ArtifactNotFound."""
        at = await self._revision(project, moment)
        artifact = await self._storage.artifact(project, version, name, ordinal, at=at)
        if artifact is None:
            shown = name if ordinal is None else f"{name}@{ordinal}"
            raise ArtifactNotFound(project, version.model, version.number, shown)
        return artifact

    async def artifacts(self, project: str, version: ModelVersion, asked: Asked) -> Listing[Artifact]:
        """The version's artifacts of which the filter is true; InvalidFilter."""
        of = f"artifacts of {project}/{version.model}/{version.number}"
        query, scope = await self._query(project, of, asked, ARTIFACT_FIELDS, _BY_START)
        return _listing(await self._storage.artifacts(project, version, query), scope)

    async def run(self, project: str, run_id: str, moment: Moment = NOW) -> Run:
        """The run of that id; RunNotFound, RevisionInFuture."""
        run = await self._storage.run(project, run_id, at=await self._revision(project, moment))
        if run is None:
            raise RunNotFound(project, run_id)
        return run

    async def runs(self, project: str, asked: Asked, version: ModelVersion | None = None) -> Listing[Run]:
        """The project's runs, or those that made or used a version, of which the filter is true; InvalidFilter."""
        of = f"runs of {project} {version and (version.model_id, version.number)}"
        query, scope = await self._query(project, of, asked, RUN_FIELDS, _BY_LATEST_START)
        return _listing(await self._storage.runs(project, query, version), scope)

    async def steps(self, project: str, run_id: str, size: int, token: str, moment: Moment = NOW) -> Listing[RunStep]:
        """The run's steps in the order in which they were started; RunNotFound, RevisionInFuture."""
        await self.run(project, run_id, moment)
        scope = f"steps of {project} {run_id} {moment}"
        at, (after,) = await self._place(project, token, scope, moment, (0,))
        limit = page_size(size)
        page = await self._storage.steps(project, run_id, int(after or 0), limit + 1, at=at)
        return _piece(page, at, limit, scope, lambda step: (step.create_revision,))

    async def events(self, project: str, after: int, size: int) -> Page[Event]:
        """Events after that revision, in order; RevisionInFuture."""
        page = await self._storage.events(project, after, page_size(size))
        _check_past(after, page.head)
        return page

    async def history(self, project: str, scope: Scope, size: int) -> Page[Event]:
        """Events of what the scope names, in its order; RevisionInFuture."""
        page = await self._storage.history(project, scope, page_size(size))
        _check_past(scope.after, page.head)
        return page

    async def lineage(
        self, project: str, start: ModelVersion | Run, directions: frozenset[bool], depth: int, moment: Moment = NOW
    ) -> tuple[Lineage, int]:
        """What came from what around the start, upstream (False) and downstream (True), and the revision it shows."""
        at = await self._revision(project, moment)
        page = await self._storage.lineage(project, start, directions, depth, MAX_NODES, at=at)
        return page.items[0], page.head.revision if at is None else at

    async def revision_at(self, project: str, time: int) -> int:
        """The last revision at or before the time, 0 if there is none."""
        return await self._storage.revision_at(project, time)

    async def watch(self, project: str, model: str, interest: Interest) -> AsyncIterator[Progress]:
        """Every event that is wanted, of one model if it is named, once and in order, without end; ModelNotFound."""
        if model:
            interest = replace(interest, model_id=(await self.model(project, model, deleted=True)).id)
        async for progress in watch(self._storage, self._bell, project, interest, self._heartbeat):
            yield progress

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        """What is wrong with the project, and whether its log begins as the mark tells; Overloaded."""
        return await self._bell.unless_closed(self._storage.verify(project, mark))

    async def export(self, project: str, revision: int | None) -> AsyncIterator[tuple[Piece, int]]:
        """The project's log up to the revision (None: the last), told with each piece; RevisionInFuture, Overloaded."""
        head = await self._storage.head(project)
        at = head.revision if revision is None else revision
        _check_past(at, head)
        async with aclosing(self._storage.export(project, at)) as pieces:
            async for piece in pieces:
                self._bell.check()
                yield piece, at

    async def _revision(self, project: str, moment: Moment) -> int | None:
        """The revision as of which to read, None for now; RevisionInFuture."""
        if moment.time is not None:
            return await self._storage.revision_at(project, moment.time)
        if moment.revision is not None:
            _check_past(moment.revision, await self._storage.head(project))
        return moment.revision

    async def _place(
        self, project: str, token: str, scope: str, moment: Moment, first: tuple[SortKey, ...]
    ) -> tuple[int | None, tuple[SortKey, ...]]:
        """The revision that a page shows, None for now, and the sort keys after which it begins."""
        if not token:
            return await self._revision(project, moment), first
        at, after = parse_token(token, scope, tuple(type(key) for key in first))
        return await self._revision(project, Moment(at)), after

    async def _query(self, project: str, of: str, asked: Asked, fields: Fields, own: Order) -> tuple[Query, str]:
        """What the page shows, and what its token belongs to. Every page shows the revision of the first."""
        scope = f"{of} where {asked.filter} by {asked.order_by} {asked.deleted} {asked.moment}"
        condition, order = parse(asked.filter, fields), parse_order(asked.order_by, fields, own)
        if asked.page_token:
            at, after = parse_token(asked.page_token, scope, _key_kinds(order))
            at = await self._revision(project, Moment(at))
        else:
            at, after = await self._revision(project, asked.moment), ()
        limit = page_size(asked.page_size)
        query = Query(limit=limit, order=order, condition=condition, after=after, at=at, deleted=asked.deleted)
        return query, scope


def _key_kinds(order: tuple[Order, ...]) -> tuple[type, ...]:
    """What the sort keys of a page token are; of a fact, whether it is missing, and then whatever it is."""
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


def _check_past(revision: int, head: Head) -> None:
    if revision > head.revision:
        raise RevisionInFuture(revision, min(1, head.revision), head.revision)


def _listing(page: Listed[T], scope: str) -> Listing[T]:
    token = "" if page.next is None else make_token(scope, page.at, page.next)
    return Listing(page.items, token, page.at)


def _piece(page: Page[T], at: int | None, size: int, scope: str, key: Callable[[T], tuple[SortKey, ...]]) -> Listing[T]:
    items, shown = page.items[:size], page.head.revision if at is None else at
    token = make_token(scope, shown, key(items[-1])) if len(page.items) > size else ""
    return Listing(items, token, shown)
