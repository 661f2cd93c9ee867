"""Reads: each is a few statements on a read-only connection, which see one committed state."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

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
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.event_rows import IMAGE, event_of
from tallymark_server.storage.sql.as_of import Past, revision_at
from tallymark_server.storage.sql.holders import held, holders_at, holders_now, holders_of
from tallymark_server.storage.sql.images import event_as_of, linked_as_of, name_as_of, run_as_of
from tallymark_server.storage.sql.pages import MAX_PAGE_SIZE, cut, size_of
from tallymark_server.storage.sql.state_loader import checked, load_version, models_by_old_name
from tallymark_server.storage.sql.statement import parameter
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.event_integrity import WHOLE, WHOLE_IMAGE
from tallymark_server.storage.sqlite.history import AFTER_ALL, EVENTS_AFTER, history_page
from tallymark_server.storage.sqlite.lineage import Asked, lineage
from tallymark_server.storage.sqlite.lists import (
    artifacts_page,
    models_page,
    runs_page,
    versions_page,
)
from tallymark_server.storage.sqlite.session import SqliteSession

RENAMED_SINCE = "SELECT 1 FROM events WHERE project = ? AND revision > ? AND kind = 'model_renamed' LIMIT 1"
NAME_AS_OF = name_as_of(DIALECT)
HEAD = "SELECT id, log_id, revision FROM projects WHERE name = ?"
NEWEST_TIME = "SELECT coalesce(max(time), 0) FROM projects"
_PROJECTS = f"""
SELECT projects.name, projects.log_id, {WHOLE} FROM projects
LEFT JOIN events ON events.project = projects.id AND events.revision = 1 AND events.kind = 'project_created'
"""
PROJECT_OF_NAME = f"{_PROJECTS} WHERE projects.name = ?"
PROJECTS_AFTER = f"{_PROJECTS} WHERE projects.name > ? ORDER BY projects.name LIMIT ?"
MODEL_OF_NAME = f"""
SELECT {WHOLE_IMAGE}, models.last_number, {held(DIALECT)} FROM models
JOIN events ON events.project = models.project AND events.revision = models.revision
WHERE models.project = ? AND models.name = ?
"""
RUN_OF_ID = f"""
SELECT {WHOLE}, {NAME_AS_OF} FROM runs {event_as_of(DIALECT, "runs", run_as_of(DIALECT))}
WHERE runs.project = :project AND runs.id = :run AND runs.start_revision <= :at
"""
# A step that was started or finished is a sign of life of its run, too.
AWAITED_RUNS = """
SELECT projects.name, runs.id, runs.awaited, events.time FROM runs INDEXED BY awaited_runs
CROSS JOIN projects ON projects.id = runs.project
CROSS JOIN events ON events.project = runs.project AND events.revision = max(runs.revision, coalesce((
    SELECT max(run_steps.revision) FROM run_steps WHERE run_steps.project = runs.project AND run_steps.run = runs.id
), 0))
WHERE runs.awaited IS NOT NULL AND (runs.project, runs.id) > (coalesce((SELECT id FROM projects WHERE name = ?), 0), ?)
ORDER BY runs.project, runs.id LIMIT ?
"""
STEPS_AFTER = f"""
SELECT {WHOLE}, {NAME_AS_OF} FROM run_steps {event_as_of(DIALECT, "run_steps", "run_steps.start_revision")}
WHERE run_steps.project = :project AND run_steps.run = :run
    AND run_steps.start_revision > :after AND run_steps.start_revision <= :at
ORDER BY run_steps.start_revision LIMIT :limit + 1
"""
ARTIFACT_OF_NAME = f"""
SELECT {WHOLE} FROM artifacts {event_as_of(DIALECT, "artifacts", "artifacts.start_revision")}
WHERE artifacts.project = :project AND artifacts.model = :model AND artifacts.number = :number
    AND artifacts.artifact = :name AND artifacts.ordinal = coalesce(:ordinal, artifacts.ordinal)
    AND {linked_as_of("artifacts")}
ORDER BY artifacts.ordinal DESC LIMIT 1
"""
_POINTS = """
SELECT metric, step, value, time FROM {}
WHERE project = :project AND model = :model AND number = :number AND (metric, step) > (:metric, :step) AND {}
"""
POINTS_AFTER = f"{_POINTS.format('points', '{}')} ORDER BY metric, step LIMIT :limit"
POINTS_AT = f"""
{_POINTS.format("points", "revision <= :at AND {0}")}
UNION ALL
{_POINTS.format("past_points", "revision <= :at AND end_revision > :at AND {0}")}
ORDER BY metric, step LIMIT :limit
"""


class Reading(Snapshot):
    """The reads of one file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._session = SqliteSession(connection)
        self._ids: dict[str, int] = {}

    def head(self, project: str) -> Head:
        """Return the end of the project's log."""
        row = self.connection.execute(HEAD, (project,)).fetchone()
        if row is None:
            raise ProjectNotFound(project)
        self._ids[project] = row[0]
        return Head(row[1], row[2])

    def newest_time(self) -> int:
        """Return the time of the newest event."""
        (newest,) = self.connection.execute(NEWEST_TIME).fetchone()
        return int(newest)

    def project(self, name: str) -> Project:
        """Return the project of that name. Raises ProjectNotFound."""
        row = self.connection.execute(PROJECT_OF_NAME, (name,)).fetchone()
        if row is None:
            raise ProjectNotFound(name)
        return _project(*row)

    def projects(self, after: str, limit: int) -> list[Project]:
        """Return projects by name, after that name."""
        return [_project(*row) for row in self.connection.execute(PROJECTS_AFTER, (after, limit))]

    def model(self, project: str, name: str, *, at: int | None = None) -> Model | None:
        """Return the model of that name, with its holders."""
        if at is not None:
            found = run_immediately(Past(self._session, self._id(project), at).model(name))
            return None if found is None else self._with_holders(project, [found], at)[0]
        row = self.connection.execute(MODEL_OF_NAME, (self._id(project), name)).fetchone()
        return None if row is None else replace(decode_model(*row[:2]), holders=holders_of(row[2:]))

    def renamed(self, project: str, old_name: str) -> str | None:
        """Return the present name of the model that last had the old name."""
        (rows,) = run_immediately(
            self._session.fetch(models_by_old_name(project=self._id(project), wanted=parameter([old_name])))
        )
        return str(rows[0][1]) if rows else None

    def revision_at(self, project: str, time: int) -> int:
        """Return the last revision at or before the time."""
        self.head(project)
        return revision_of_time(self.connection, self._id(project), time)

    def models(self, project: str, query: Query) -> Listed[Model]:
        """Return a page of models."""
        head = self.head(project)
        at = head.revision if query.at is None else query.at
        since = self.connection.execute(RENAMED_SINCE, (self._id(project), at)).fetchone()
        page = models_page(self.connection, self._id(project), at, query, renamed_since=since is not None)
        found = [decode_model(*row) for row in page.rows]
        held = self._with_holders(project, found, None if at == head.revision else at)
        # The aliases of a model are in no image, and there may be a thousand of each.
        page = page.first(_fitting(zip(held, page.rows, strict=True)))
        return Listed(head, held[: len(page.rows)], at, page.next)

    def version_now(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool
    ) -> tuple[ModelVersion | None, int]:
        """Return the version that the reference means now, and the size of its image in characters."""
        return run_immediately(load_version(self._session, self._id(project), model, reference, of_deleted=of_deleted))

    def version(
        self, project: str, model: str, reference: Reference, *, of_deleted: bool = False, at: int | None = None
    ) -> ModelVersion | None:
        """Return the version that the reference means."""
        if at is None:
            return self.version_now(project, model, reference, of_deleted=of_deleted)[0]
        past = Past(self._session, self._id(project), at)
        found = run_immediately(past.model(model))
        if found is None or (found.delete_time is not None and not of_deleted):
            return None
        return run_immediately(past.version(found, reference))

    def versions(self, project: str, model: Model, query: Query) -> Listed[ModelVersion]:
        """Return a page of versions of the model."""
        head = self.head(project)
        at = head.revision if query.at is None else query.at
        page = versions_page(self.connection, self._id(project), model.id, at, head.revision, query)
        return Listed(
            head, [checked(decode_version(image, model.name), key) for image, *key in page.rows], at, page.next
        )

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
        """Return points of the version's metrics."""
        chosen = "metric IN (SELECT value FROM json_each(:keys))" if keys else "TRUE"
        given = {
            "project": self._id(project),
            "model": version.model_id,
            "number": version.number,
            "metric": after[0],
            "step": after[1],
            "keys": json.dumps(list(keys)),
            "at": at,
            "limit": limit,
        }
        rows = self.connection.execute((POINTS_AFTER if at is None else POINTS_AT).format(chosen), given)
        found = [Point(key, step, math.nan if value is None else value, time) for key, step, value, time in rows]
        return Page(self.head(project), found)

    def artifact(
        self, project: str, version: ModelVersion, name: str, ordinal: int | None, *, at: int | None = None
    ) -> Artifact | None:
        """Return the artifact of that name."""
        given = {
            "project": self._id(project),
            "model": version.model_id,
            "number": version.number,
            "name": name,
            "ordinal": ordinal,
            "at": _revision(at),
        }
        row = self.connection.execute(ARTIFACT_OF_NAME, given).fetchone()
        return None if row is None else decode_artifact(row[0], version.model)

    def artifacts(self, project: str, version: ModelVersion, query: Query) -> Listed[Artifact]:
        """Return a page of the version's artifacts."""
        head = self.head(project)
        at = head.revision if query.at is None else query.at
        page = artifacts_page(self.connection, self._id(project), version.model_id, version.number, at, query)
        items = [decode_artifact(image, version.model) for (image,) in page.rows]
        return Listed(head, items, at, page.next)

    def run(self, project: str, run_id: str, *, at: int | None = None) -> Run | None:
        """Return the run of that id."""
        given = {"project": self._id(project), "run": run_id, "at": _revision(at)}
        row = self.connection.execute(RUN_OF_ID, given).fetchone()
        return None if row is None else decode_run(*row)

    def runs(self, project: str, query: Query, version: ModelVersion | None = None) -> Listed[Run]:
        """Return a page of runs."""
        head = self.head(project)
        at = head.revision if query.at is None else query.at
        linked = None if version is None else (version.model_id, version.number)
        page = runs_page(self.connection, self._id(project), at, query, linked)
        return Listed(head, [decode_run(*row) for row in page.rows], at, page.next)

    def awaited(self, after: tuple[str, str], limit: int) -> list[Awaited]:
        """Return running runs with a heartbeat timeout, after that one."""
        return [Awaited(*row) for row in self.connection.execute(AWAITED_RUNS, (*after, limit))]

    def steps(self, project: str, run_id: str, after: int, limit: int, *, at: int | None = None) -> Listed[RunStep]:
        """Return a page of the run's steps."""
        head = self.head(project)
        given = {"project": self._id(project), "run": run_id, "after": after, "at": _revision(at), "limit": limit}
        rows, more = cut(self.connection.execute(STEPS_AFTER, given), limit, 0)
        steps = [decode_step(*row) for row in rows]
        return Listed(head, steps, head.revision if at is None else at, (steps[-1].create_revision,) if more else None)

    def events(self, project: str, after: int, limit: int) -> Page[Event]:
        """Return events after that revision, in order."""
        rows, _ = cut(self.connection.execute(EVENTS_AFTER, (self._id(project), after, limit)), limit, IMAGE)
        return Page(self.head(project), [event_of(row) for row in rows])

    def history(self, project: str, scope: Scope, limit: int) -> tuple[Page[Event], Scope | None]:
        """Return events of the scope; if none is found among very many, also the part of the scope left to read."""
        head = self.head(project)
        rows, left = history_page(self.connection, self._id(project), scope, limit)
        return Page(head, [event_of(row) for row in rows]), left

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
        """Return the lineage of the start."""
        key: NodeKey = ("run", start.id, 0) if isinstance(start, Run) else ("version", start.model_id, start.number)
        asked = Asked(self.connection, self._id(project), _revision(at))
        return Page(self.head(project), [lineage(asked, key, direction, depth, limit)])

    def _with_holders(self, project: str, models: list[Model], at: int | None) -> list[Model]:
        if at is None:
            found = run_immediately(holders_now(self._session, self._id(project), [model.id for model in models]))
        else:
            last_numbers = {model.id: model.last_number for model in models}
            found = run_immediately(holders_at(self._session, self._id(project), last_numbers, at))
        return [replace(model, holders=found[model.id]) for model in models]

    def _id(self, project: str) -> int:
        # Projects are never removed.
        if project not in self._ids:
            self.head(project)
        return self._ids[project]


def revision_of_time(connection: sqlite3.Connection, project: int, time: int) -> int:
    """Return the last revision at or before the time, 0 if there is none."""
    select = revision_at(project=project, time=time)
    ((revision,),) = connection.execute(select.text(DIALECT), select.parameters)
    return int(revision)


def _fitting(models: Iterable[tuple[Model, tuple[Any, ...]]]) -> int:
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


def _revision(at: int | None) -> int:
    """Return the revision to read at: for the present state, one after all."""
    return AFTER_ALL if at is None else at
