"""The interface of the registry for every edge: commands go to the writer, reads to storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from tallymark_server.access.book import AccessBook
from tallymark_server.domain.commands import Command, FinishRun, ResumeRun, Started, StartRun
from tallymark_server.domain.errors import AccessControlOff, ProjectNotFound, RunNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Artifact, Model, ModelVersion, Point, Project, Run, RunState, RunStep
from tallymark_server.domain.reference import Reference
from tallymark_server.heartbeats import Heartbeats
from tallymark_server.observer import EXPORT, VERIFICATION, Observer
from tallymark_server.page_tokens import make_token, page_size, parse_token
from tallymark_server.snapshots import (
    NOW,
    Listing,
    ListOptions,
    Named,
    ReadAt,
    SnapshotReader,
    check_past,
    page_read_at,
)
from tallymark_server.storage.checkpoint import Mark, wrong_hash
from tallymark_server.storage.contract import (
    Direction,
    Lineage,
    NodeKey,
    Page,
    Piece,
    Proof,
    Reads,
    Scope,
    Snapshot,
    Storage,
)
from tallymark_server.watch import Bell, Interest, Progress, watch
from tallymark_server.writer import Writer

__all__ = [
    "NOW",
    "Direction",
    "Lineage",
    "ListOptions",
    "Listing",
    "Mark",
    "Named",
    "NodeKey",
    "Proof",
    "ReadAt",
    "Registry",
    "Scope",
    "page_read_at",
    "wrong_hash",
]

T = TypeVar("T")
_PROJECTS = "projects"


class Registry:
    """All methods of the registry. `heartbeat` is the longest time, in seconds, between messages of a watch."""

    def __init__(
        self,
        storage: Storage,
        writer: Writer,
        bell: Bell,
        heartbeats: Heartbeats,
        heartbeat: float,
        reads: Reads | None = None,
        observer: Observer | None = None,
        book: AccessBook | None = None,
    ) -> None:
        self._observer = observer or Observer()
        self._storage = storage
        self._reads: Reads = storage if reads is None else reads
        self._writer = writer
        self._bell = bell
        self._heartbeats = heartbeats
        self._heartbeat = heartbeat
        self._book = book

    @property
    def has_access_control(self) -> bool:
        """Whether callers are known, and each may do only what was granted to it."""
        return self._book is not None

    @property
    def access(self) -> AccessBook:
        """Tokens, service accounts and grants. Raises AccessControlOff."""
        if self._book is None:
            raise AccessControlOff
        return self._book

    @asynccontextmanager
    async def at_one_moment(self) -> AsyncIterator[Registry]:
        """Yield a registry whose reads all see one committed state, for an answer that needs several reads.

        Changes through it are decided as usual, but its reads do not see them.
        """
        async with self._storage.at_one_moment() as reads:
            yield Registry(
                self._storage,
                self._writer,
                self._bell,
                self._heartbeats,
                self._heartbeat,
                reads,
                self._observer,
                self._book,
            )

    async def execute(self, command: Command[T]) -> T:
        """Return the answer to the command once its effect is durable. Raises a RegistryError if it is refused."""
        answer = await self._writer.execute(command)
        run = getattr(command, "run", None)
        if run is not None:
            self._heartbeats.saw_change(command.project, run)
        return answer

    async def project(self, name: str) -> Project:
        """Return the project of that name. Raises ProjectNotFound."""
        return await self._reads.project(name)

    async def projects(self, size: int, token: str, among: frozenset[str] | None = None) -> tuple[list[Project], str]:
        """Return a page of projects by name, and the next token, empty after the last. Raises InvalidPageToken.

        With `among`, no other projects are looked at, so the time does not depend on them.
        """
        _, (after,) = parse_token(token, _PROJECTS, (str,)) if token else (None, ("",))
        limit = page_size(size)
        if among is None:
            found = await self._reads.projects(str(after), limit + 1)
        else:
            found = await self._projects_among(sorted(name for name in among if name > str(after)), limit + 1)
        return found[:limit], make_token(_PROJECTS, None, (found[limit - 1].name,)) if len(found) > limit else ""

    async def newest_revision(self, project: str) -> int:
        """Return the newest revision of the project's log. Raises ProjectNotFound."""
        return (await self._reads.head(project)).revision

    async def _projects_among(self, names: list[str], limit: int) -> list[Project]:
        found: list[Project] = []
        for name in names:
            with suppress(ProjectNotFound):
                found.append(await self._reads.project(name))
            if len(found) == limit:
                break
        return found

    async def start_run(self, command: StartRun) -> Started:
        """Start or join the run, and expect its heartbeats if it sends any. Raises a RegistryError if refused."""
        if command.heartbeat_timeout is None:
            return await self.execute(command)
        return await self._heartbeats.shielded(self._started(command))

    async def finish_run(self, command: FinishRun) -> Run:
        """Finish the run, and expect no more heartbeats. Raises a RegistryError if refused."""
        return await self._heartbeats.shielded(self._finished(command))

    async def heartbeat(self, project: str, run_id: str, actor: str) -> tuple[RunState, int | None]:
        """Renew the deadline of the run's next heartbeat, and resume the run if it is lost.

        Return its state, and its timeout in microseconds, None if no heartbeat is expected. Raises RunNotFound.
        """
        if (timeout := self._heartbeats.beat(project, run_id)) is not None:
            return RunState.RUNNING, timeout
        run = await self.run(project, run_id)
        if run.heartbeat_timeout is None or run.state in (RunState.SUCCEEDED, RunState.FAILED):
            return run.state, None
        # Through the writer, since the run may be about to be recorded as lost.
        run = await self._heartbeats.shielded(self._resumed(ResumeRun(project=project, actor=actor, run=run_id)))
        return run.state, run.heartbeat_timeout if run.state is RunState.RUNNING else None

    async def _started(self, command: StartRun) -> Started:
        started = await self.execute(command)
        # The answer to a repeated request has the run as it was then, which may be lost or finished since.
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

    async def model(self, project: str, name: str, *, deleted: bool = False, read_at: ReadAt = NOW) -> Model:
        """Return the model, a deleted one only if `deleted`. Raises ModelNotFound or RevisionInFuture."""
        if read_at is NOW:
            found = await self._reads.model(project, name)
            if found is not None and not found.purged and (found.delete_time is None or deleted):
                return found
        return await self._read_at(project, read_at, lambda q, at: q.model(name, deleted=deleted, at=at))

    async def version(
        self, project: str, model: str, reference: Reference, *, deleted: bool = False, read_at: ReadAt = NOW
    ) -> ModelVersion:
        """Return the version. Raises ModelNotFound, VersionNotFound, StageEmpty or AliasNotFound."""
        if read_at is NOW:
            found = await self._reads.version(project, model, reference, of_deleted=deleted)
            if found is not None and (found.delete_time is None or deleted):
                return found
        named = Named(model, reference)
        return await self._read_at(project, read_at, lambda q, at: q.version(named, deleted=deleted, at=at))

    async def models(self, project: str, options: ListOptions) -> Listing[Model]:
        """Return the project's models that match the filter. Raises InvalidFilter."""
        return await self._read(project, lambda q: q.models(options))

    async def versions(self, project: str, model: str, options: ListOptions) -> Listing[ModelVersion]:
        """Return the model's versions that match the filter. Raises ModelNotFound or InvalidFilter."""
        return await self._read(project, lambda q: q.versions(model, options))

    async def points(
        self, project: str, of: Named | ModelVersion, keys: Sequence[str], size: int, token: str, read_at: ReadAt = NOW
    ) -> Listing[Point]:
        """Return points of the version's metrics, by metric and step. Raises RevisionInFuture."""
        return await self._read(project, lambda q: q.points(of, keys, size, token, read_at))

    async def artifact(
        self, project: str, of: Named | ModelVersion, name: str, ordinal: int | None, read_at: ReadAt = NOW
    ) -> Artifact:
        """Return the artifact of the version, of that ordinal or the newest. Raises ArtifactNotFound."""
        return await self._read_at(project, read_at, lambda q, at: q.artifact(of, name, ordinal, at))

    async def artifacts(self, project: str, of: Named | ModelVersion, options: ListOptions) -> Listing[Artifact]:
        """Return the version's artifacts that match the filter. Raises InvalidFilter."""
        return await self._read(project, lambda q: q.artifacts(of, options))

    async def run(self, project: str, run_id: str, read_at: ReadAt = NOW) -> Run:
        """Return the run of that id. Raises RunNotFound or RevisionInFuture."""
        if read_at is not NOW:
            return await self._read_at(project, read_at, lambda q, at: q.run(run_id, at))
        run = await self._reads.run(project, run_id)
        if run is None:
            raise RunNotFound(project, run_id)
        return run

    async def runs(self, project: str, options: ListOptions, of: Named | ModelVersion | None = None) -> Listing[Run]:
        """Return the runs, or those that created or used a version, that match the filter. Raises InvalidFilter."""
        return await self._read(project, lambda q: q.runs(options, of))

    async def steps(self, project: str, run_id: str, size: int, token: str, read_at: ReadAt = NOW) -> Listing[RunStep]:
        """Return the run's steps in the order of their starts. Raises RunNotFound or RevisionInFuture."""
        return await self._read(project, lambda q: q.steps(run_id, size, token, read_at))

    async def events(self, project: str, after: int, size: int) -> Page[Event]:
        """Return events after that revision, in order. Raises RevisionInFuture."""
        page = await self._reads.events(project, after, page_size(size))
        check_past(after, page.head)
        return page

    async def history(self, project: str, scope: Scope, size: int, named: Named | None = None) -> Page[Event]:
        """Return events in the scope, of the model or version if one is named. Raises RevisionInFuture."""
        whose, left = None, scope
        while True:
            # Other reads are answered in between.
            read = partial(SnapshotReader.history, scope=left, named=named, size=size)
            page, found, rest = await self._read(project, read)
            if whose not in (None, (found.model_id, found.number)):
                whose, left = None, scope  # the name has another owner now
            elif rest is None:
                return page
            else:
                whose, left = (found.model_id, found.number), rest

    async def lineage(
        self,
        project: str,
        start: Named | ModelVersion | Run | str,
        direction: Direction,
        depth: int,
        read_at: ReadAt = NOW,
    ) -> tuple[Lineage, int]:
        """Return the lineage around the start in that direction, and the revision that it reads at."""
        return await self._read(project, lambda q: q.lineage(start, direction, depth, read_at))

    async def revision_at(self, project: str, time: int) -> int:
        """Return the last revision at or before the time, 0 if there is none."""
        return await self._reads.revision_at(project, time)

    async def watch(self, project: str, model: str, interest: Interest) -> AsyncIterator[Progress]:
        """Yield every event of interest, of one model if named, in order, without end. Raises ModelNotFound."""
        if model:
            interest = replace(interest, model_id=(await self.model(project, model, deleted=True)).id)
        with self._observer.watching(project) as position:
            async for progress in watch(self._storage, self._bell, project, interest, self._heartbeat, position):
                yield progress

    async def verify(self, project: str, mark: Mark | None) -> Proof:
        """Return the problems of the project, and whether its log contains the mark. Raises Overloaded."""
        with self._observer.working(VERIFICATION):
            return await self._bell.unless_closed(self._storage.verify(project, mark))

    async def export(self, project: str, revision: int | None) -> AsyncIterator[tuple[Piece, int]]:
        """Yield the log up to the revision (None: the last), and that. Raises RevisionInFuture or Overloaded."""
        head = await self._storage.head(project)
        at = head.revision if revision is None else revision
        check_past(at, head)
        with self._observer.working(EXPORT):
            async with aclosing(self._storage.export(project, at)) as pieces:
                async for piece in pieces:
                    self._bell.check()
                    yield piece, at

    async def _read(self, project: str, read: Callable[[SnapshotReader], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the read from one committed state."""
        return await self._reads.read(lambda snapshot: read(SnapshotReader(snapshot, project)))

    async def _read_at(
        self, project: str, read_at: ReadAt, read: Callable[[SnapshotReader, int | None], Coroutine[Any, Any, T]]
    ) -> T:
        """Return the result of the read, which gets the revision to read at. It is brief if that is now."""

        async def question(snapshot: Snapshot) -> T:
            reader = SnapshotReader(snapshot, project)
            return await read(reader, await reader.revision(read_at))

        return await self._reads.read(question, brief=read_at == NOW)
