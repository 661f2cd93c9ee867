"""Reads: each is a few statements, which see one committed state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from tallymark_server.domain.errors import ProjectNotFound
from tallymark_server.domain.events import Event
from tallymark_server.domain.model import Artifact, Model, ModelVersion, Point, Project, Run, RunStep
from tallymark_server.domain.query import Query
from tallymark_server.domain.reference import Reference
from tallymark_server.storage.codec import (
    decode_artifact,
    decode_model,
    decode_project,
    decode_run,
    decode_step,
    decode_version,
)
from tallymark_server.storage.contract import Awaited, Direction, Head, Lineage, Listed, NodeKey, Page, Scope, Snapshot
from tallymark_server.storage.log.event_rows import IMAGE, event_of
from tallymark_server.storage.sql.as_of import Past, revision_of_time
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.history import AFTER_ALL, events_after, history_page
from tallymark_server.storage.sql.holders import held, holders_at, holders_now, holders_of
from tallymark_server.storage.sql.images import event_as_of, linked_as_of, name_as_of, run_as_of
from tallymark_server.storage.sql.lineage import LineageSource, read_lineage
from tallymark_server.storage.sql.lists import artifacts_page, models_page, runs_page, versions_page
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE, size_of
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.state_loader import checked, load_version, models_by_old_name
from tallymark_server.storage.sql.statement import Statement, parameter


@Statement
def head_of_project(_: Dialect) -> str:
    return "SELECT id, log_id, revision FROM projects WHERE name = :name"


@Statement
def newest_time(_: Dialect) -> str:
    return "SELECT coalesce(max(time), 0) FROM projects"


def _projects(sql: Dialect) -> str:
    created = "events.project = projects.id AND events.revision = 1 AND events.kind = 'project_created'"
    event = sql.join("events", created, left=True)
    return f"SELECT projects.name, projects.log_id, {sql.whole('events')} FROM projects {event}"


@Statement
def project_of_name(sql: Dialect) -> str:
    return f"{_projects(sql)} WHERE projects.name = :name"


@Statement
def projects_after(sql: Dialect) -> str:
    return f"{_projects(sql)} WHERE projects.name > :after ORDER BY projects.name LIMIT :limit"


@Statement
def model_of_name(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole_image()}, models.last_number, {held(sql)} FROM models
    {sql.join("events", "events.project = models.project AND events.revision = models.revision")}
    WHERE models.project = :project AND models.name = :name
    """


@Statement
def run_of_id(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole("events")}, {name_as_of(sql)} FROM runs {event_as_of(sql, "runs", run_as_of(sql))}
    WHERE runs.project = :project AND runs.id = :run AND runs.start_revision <= :at
    """


@Statement
def awaited_runs(sql: Dialect) -> str:
    """Running runs, each with the time of its last sign of life: a step that was started or finished is one, too."""
    step = """coalesce((
        SELECT max(run_steps.revision) FROM run_steps
        WHERE run_steps.project = runs.project AND run_steps.run = runs.id
    ), 0)"""
    last_seen = f"events.project = runs.project AND events.revision = {sql.greatest('runs.revision', step)}"
    return f"""
    SELECT projects.name, runs.id, runs.awaited, events.time FROM {sql.indexed("runs", "awaited_runs")}
    {sql.join("projects", "projects.id = runs.project")}
    {sql.join("events", last_seen)}
    WHERE runs.awaited IS NOT NULL
        AND (runs.project, runs.id) > (coalesce((SELECT id FROM projects WHERE name = :after), 0), :after_run)
    ORDER BY runs.project, runs.id LIMIT :limit
    """


@Statement
def steps_after(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole("events")}, {name_as_of(sql)} FROM run_steps
    {event_as_of(sql, "run_steps", "run_steps.start_revision")}
    WHERE run_steps.project = :project AND run_steps.run = :run
        AND run_steps.start_revision > :after AND run_steps.start_revision <= :at
    ORDER BY run_steps.start_revision LIMIT :limit
    """


@Statement
def artifact_of_name(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole("events")} FROM artifacts {event_as_of(sql, "artifacts", "artifacts.start_revision")}
    WHERE artifacts.project = :project AND artifacts.model = :model AND artifacts.number = :number
        AND artifacts.artifact = :name AND artifacts.ordinal = coalesce(:ordinal, artifacts.ordinal)
        AND {linked_as_of("artifacts")}
    ORDER BY artifacts.ordinal DESC LIMIT 1
    """


def _points(sql: Dialect, table: str, *, of_metrics: bool) -> str:
    metrics = f"metric IN (SELECT wanted.metric FROM {sql.keys('wanted', metric=Type.TEXT)})"
    return f"""
    SELECT metric, step, value, time FROM {table}
    WHERE project = :project AND model = :model AND number = :number AND (metric, step) > (:metric, :step)
        AND {metrics if of_metrics else "TRUE"}
    """


def _points_now(of_metrics: bool, sql: Dialect) -> str:
    return f"{_points(sql, 'points', of_metrics=of_metrics)} ORDER BY metric, step LIMIT :limit"


def _points_at(of_metrics: bool, sql: Dialect) -> str:
    return f"""
    {_points(sql, "points", of_metrics=of_metrics)} AND revision <= :at
    UNION ALL
    {_points(sql, "past_points", of_metrics=of_metrics)} AND revision <= :at AND end_revision > :at
    ORDER BY metric, step LIMIT :limit
    """


# By whether they are those of some metrics, or of all.
points_now = {of_metrics: Statement(partial(_points_now, of_metrics)) for of_metrics in (False, True)}
points_at = {of_metrics: Statement(partial(_points_at, of_metrics)) for of_metrics in (False, True)}


class Reader(Snapshot):
    """The reads of one committed state, or each of the newest one.

    Args:
        session: how its tables are read
        ids: the ids of projects that are known; those that are found are added, since projects are never removed
    """

    def __init__(self, session: ReadSession, ids: dict[str, int] | None = None) -> None:
        self._session = session
        self._ids: dict[str, int] = {} if ids is None else ids

    async def head(self, project: str) -> Head:
        """Return the end of the project's log."""
        (rows,) = await self._session.fetch(head_of_project(name=project))
        if not rows:
            raise ProjectNotFound(project)
        ((self._ids[project], log_id, revision),) = rows
        return Head(log_id, revision)

    async def newest_time(self) -> int:
        """Return the time of the newest event."""
        (rows,) = await self._session.fetch(newest_time())
        return int(rows[0][0])

    async def project(self, name: str) -> Project:
        """Return the project of that name. Raises ProjectNotFound."""
        (rows,) = await self._session.fetch(project_of_name(name=name))
        if not rows:
            raise ProjectNotFound(name)
        return _project(*rows[0])

    async def projects(self, after: str, limit: int) -> list[Project]:
        """Return projects by name, after that name."""
        (rows,) = await self._session.fetch(projects_after(after=after, limit=limit))
        return [_project(*row) for row in rows]

    async def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """Return the model of that name, with its holders."""
        project_id = self._ids.get(project) or await self._id(project)
        if at is not None:
            found = await Past(self._session, project_id, at).model(name)
            return None if found is None else (await self._with_holders(project_id, [found], at))[0]
        (rows,) = await self._session.fetch(model_of_name(project=project_id, name=name))
        for image, last_number, *holders in rows:
            return replace(decode_model(image, last_number), holders=holders_of(holders))
        return None

    async def renamed(self, project: str, old_name: str) -> str | None:
        """Return the present name of the model that last had the old name."""
        wanted = parameter([old_name])
        (rows,) = await self._session.fetch(models_by_old_name(project=await self._id(project), wanted=wanted))
        return str(rows[0][1]) if rows else None

    async def revision_at(self, project: str, time: int) -> int:
        """Return the last revision at or before the time."""
        return await revision_of_time(self._session, await self._id(project), time)

    async def models(self, project: str, query: Query) -> Listed[Model]:
        """Return a page of models."""
        head, project_id, at = await self._begin(project, query.at)
        page = await models_page(self._session, project_id, at, head.revision, query)
        found = [decode_model(*row) for row in page.rows]
        with_holders = await self._with_holders(project_id, found, None if at == head.revision else at)
        # The aliases of a model are in no image, and there may be a thousand of each.
        page = page.first(_fitting(zip(with_holders, page.rows, strict=True)))
        return Listed(head, with_holders[: len(page.rows)], at, page.next)

    async def version_now(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool
    ) -> tuple[ModelVersion | None, int]:
        """Return the version that the reference means now, and the size of its image in characters."""
        project_id = self._ids.get(project) or await self._id(project)
        return await load_version(self._session, project_id, model, reference, of_deleted=of_deleted)

    async def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """Return the version that the reference means."""
        if at is None:
            return (await self.version_now(project, model, reference, of_deleted=of_deleted))[0]
        past = Past(self._session, await self._id(project), at)
        found = await past.model(model)
        if found is None or (found.delete_time is not None and not of_deleted):
            return None
        return await past.version(found, reference)

    async def versions(self, project: str, model: Model, query: Query) -> Listed[ModelVersion]:
        """Return a page of versions of the model."""
        head, project_id, at = await self._begin(project, query.at)
        page = await versions_page(self._session, project_id, model.id, at, head.revision, query)
        found = [checked(decode_version(image, model.name), key) for image, *key in page.rows]
        return Listed(head, found, at, page.next)

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
        """Return points of the version's metrics."""
        head, project_id, _ = await self._begin(project, at)
        statement = (points_now if at is None else points_at)[bool(keys)]
        (rows,) = await self._session.fetch(
            statement(
                **_version(project_id, version),
                metric=after[0],
                step=after[1],
                wanted=parameter(keys),
                at=_revision(at),
                limit=limit,
            )
        )
        points = [Point(key, step, math.nan if value is None else value, time) for key, step, value, time in rows]
        return Page(head, points)

    async def artifact(
        self, project: str, version: ModelVersion, name: str, ordinal: int | None, *, at: int | None = None
    ) -> Artifact | None:
        """Return the artifact of that name."""
        (rows,) = await self._session.fetch(
            artifact_of_name(**_version(await self._id(project), version), name=name, ordinal=ordinal, at=_revision(at))
        )
        return decode_artifact(rows[0][0], version.model) if rows else None

    async def artifacts(self, project: str, version: ModelVersion, query: Query) -> Listed[Artifact]:
        """Return a page of the version's artifacts."""
        head, project_id, at = await self._begin(project, query.at)
        page = await artifacts_page(self._session, project_id, version.model_id, version.number, at, query)
        return Listed(head, [decode_artifact(image, version.model) for (image,) in page.rows], at, page.next)

    async def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """Return the run of that id."""
        project_id = self._ids.get(project) or await self._id(project)
        (rows,) = await self._session.fetch(run_of_id(project=project_id, run=run_id, at=_revision(at)))
        return decode_run(*rows[0]) if rows else None

    async def runs(self, project: str, query: Query, version: ModelVersion | None = None) -> Listed[Run]:
        """Return a page of runs."""
        head, project_id, at = await self._begin(project, query.at)
        linked = None if version is None else (version.model_id, version.number)
        page = await runs_page(self._session, project_id, at, query, linked)
        return Listed(head, [decode_run(*row) for row in page.rows], at, page.next)

    async def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        """Return running runs with a heartbeat timeout, after that one."""
        (rows,) = await self._session.fetch(awaited_runs(after=after[0], after_run=after[1], limit=limit))
        return [Awaited(*row) for row in rows]

    async def steps(
        self, project: str, run_id: str, after: int, limit: int, *, at: int | None = None
    ) -> Listed[RunStep]:
        """Return a page of the run's steps."""
        head, project_id, shown = await self._begin(project, at)
        select = steps_after(project=project_id, run=run_id, after=after, at=_revision(at), limit=limit + 1)
        rows, more = await self._session.fetch_page(select, limit, 0)
        steps = [decode_step(*row) for row in rows]
        return Listed(head, steps, shown, (steps[-1].create_revision,) if more else None)

    async def events(self, project: str, after: int, limit: int) -> Page[Event]:
        """Return events after that revision, in order."""
        head, project_id, _ = await self._begin(project, None)
        select = events_after(project=project_id, after=after, limit=limit)
        rows, _ = await self._session.fetch_page(select, limit, IMAGE)
        return Page(head, [event_of(row) for row in rows])

    async def history(self, project: str, scope: Scope, limit: int) -> tuple[Page[Event], Scope | None]:
        """Return events of the scope; if none is found among very many, also the part of the scope left to read."""
        head, project_id, _ = await self._begin(project, None)
        rows, left = await history_page(self._session, project_id, scope, limit)
        return Page(head, [event_of(row) for row in rows]), left

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
        """Return the lineage of the start."""
        head, project_id, _ = await self._begin(project, at)
        key: NodeKey = ("run", start.id, 0) if isinstance(start, Run) else ("version", start.model_id, start.number)
        source = LineageSource(self._session, project_id, _revision(at))
        return Page(head, [await read_lineage(source, key, direction, depth, limit)])

    async def _begin(self, project: str, at: int | None) -> tuple[Head, int, int]:
        """Return the end of the project's log, the project's id, and the revision to read at."""
        head = await self.head(project)
        return head, self._ids[project], head.revision if at is None else at

    async def _with_holders(self, project: int, models: list[Model], at: int | None) -> list[Model]:
        if at is None:
            found = await holders_now(self._session, project, [model.id for model in models])
        else:
            last_numbers = {model.id: model.last_number for model in models}
            found = await holders_at(self._session, project, last_numbers, at)
        return [replace(model, holders=found[model.id]) for model in models]

    async def _id(self, project: str) -> int:
        if project not in self._ids:
            await self.head(project)
        return self._ids[project]


def _fitting(models: Iterable[tuple[Model, Row]]) -> int:
    """Return how many of the models, each with its row, fit into a page; one at least."""
    size = count = 0
    for model, (image, *_) in models:
        aliases = model.holders.aliases if model.holders else {}
        size += size_of(image) + sum(map(size_of, aliases)) + 16 * len(aliases)
        if count and size > MAX_PAGE_SIZE:
            break
        count += 1
    return count


def _project(name: str, log_id: str, image: str | None) -> Project:
    """Return the project of a row; one that the operator created has no event of it."""
    return Project(name=name, log_id=log_id) if image is None else decode_project(image)


def _version(project: int, version: ModelVersion) -> dict[str, object]:
    return {"project": project, "model": version.model_id, "number": version.number}


def _revision(at: int | None) -> int:
    """Return the revision to read at: for the present state, one after all."""
    return AFTER_ALL if at is None else at
