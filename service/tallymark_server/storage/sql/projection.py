"""Projects events to the tables."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import (
    Artifact,
    ArtifactRole,
    MetricChange,
    Model,
    ModelVersion,
    Run,
    RunState,
    RunStep,
    Stage,
    VersionUse,
)
from tallymark_server.storage.index_keys import identity_key
from tallymark_server.storage.log.replay import ImpossibleEventError
from tallymark_server.storage.sqlite.bulk_insert import insert
from tallymark_server.storage.sqlite.index_candidates import write_facts

_NEW_MODEL = "INSERT INTO models (project, id, name, last_number, deleted, revision) VALUES (?, ?, ?, 0, 0, ?)"
_CHANGE_MODEL = "UPDATE models SET name = ?, deleted = ?, revision = ? WHERE project = ? AND id = ?"
# A model created under the name of a purged one takes its place, and its line.
_IN_PLACE_OF_PURGED = f"{_CHANGE_MODEL} AND deleted = 2"
_RENAME = "INSERT OR REPLACE INTO renames VALUES (?, ?, ?)"
_PURGE = tuple(
    f"DELETE FROM {table} WHERE project = ? AND model = ?"
    for table in ("versions", "aliases", "artifacts", "points", "past_points", "run_versions", "facts")
)
_PURGE_VERSION = tuple(
    f"DELETE FROM {table} WHERE project = ? AND model = ? AND number = ?"
    for table in ("artifacts", "points", "past_points", "run_versions", "facts")
)
_CHANGE_VERSION = """
UPDATE versions SET name = ?, stage = ?, automatic_run = ?, deleted = ?, revision = ?
WHERE project = ? AND model = ? AND number = ?
"""
_COUNT = "UPDATE models SET last_number = ? WHERE project = ? AND id = ?"
_SET_ALIAS = "INSERT INTO aliases VALUES (?, ?, ?, ?)"
_DELETE_ALIAS = "DELETE FROM aliases WHERE project = ? AND model = ? AND alias = ?"
_START_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?, ?)"
_CHANGE_RUN = "UPDATE runs SET revision = ?, awaited = ? WHERE project = ? AND id = ?"
_NEW_STEP = "INSERT INTO run_steps VALUES (?, ?, ?, ?, ?)"
_CHANGE_STEP = "UPDATE run_steps SET revision = ? WHERE project = ? AND run = ? AND id = ?"
_LINK = "INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UNLINK = """
UPDATE artifacts SET unlinked = 1, revision = ?
WHERE project = ? AND model = ? AND number = ? AND artifact = ? AND ordinal = ?
"""
_POINT = "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_END_POINTS = """
INSERT INTO past_points SELECT project, model, number, metric, step, ?, value, time, revision FROM points
WHERE project = ? AND model = ? AND number = ? AND metric = ?
"""
_END_POINT = f"{_END_POINTS} AND step = ?"
_DELETE_POINTS = "DELETE FROM points WHERE project = ? AND model = ? AND number = ? AND metric = ?"


def project_one(connection: sqlite3.Connection, project: int, event: Event) -> None:
    """Bring the tables to the state after one event of a replay. Raise ImpossibleEventError if they do not allow it."""
    try:
        project_events(connection, project, [event])
    except sqlite3.IntegrityError as error:
        raise ImpossibleEventError(str(error)) from None


def project_events(connection: sqlite3.Connection, project: int, events: Sequence[Event]) -> None:
    """Bring the tables to the state after the events.

    New versions wait until the end of their stretch, so that a batch of creates is one statement. Anything else is done
    in its place, since unique indexes need stages and aliases to move in the order of the events.
    """
    fresh: list[ModelVersion] = []
    for event in events:
        if event.kind is Kind.VERSION_CREATED and isinstance(event.image, ModelVersion):
            fresh.append(event.image)
            continue
        if event.kind is not Kind.MODEL_CREATED:
            _create_versions(connection, project, fresh)
            fresh.clear()
        _project_event(connection, project, event)
    _create_versions(connection, project, fresh)


def _create_versions(connection: sqlite3.Connection, project: int, versions: Sequence[ModelVersion]) -> None:
    if not versions:
        return
    insert(connection, "versions", [_version_row(project, version) for version in versions])
    last_numbers = {version.model_id: version.number for version in versions}
    connection.executemany(_COUNT, [(number, project, model) for model, number in last_numbers.items()])
    made = [
        (project, version.run, version.model_id, version.number, ArtifactRole.MADE, version.create_revision)
        for version in versions
        if version.run is not None
    ]
    insert(connection, "run_versions", made)
    for version in versions:
        if version.tags or version.metadata:
            write_facts(connection, project, version, new=True)


def _project_event(connection: sqlite3.Connection, project: int, event: Event) -> None:
    match event.image:
        case Model() as model:
            _project_model(connection, project, event, model)
        case ModelVersion() as version:
            _project_version(connection, project, event, version)
        case Run() as run if event.kind is Kind.RUN_STARTED:
            connection.execute(_START_RUN, (project, run.id, event.revision, event.revision, _awaited(run)))
        case Run() as run:
            connection.execute(_CHANGE_RUN, (event.revision, _awaited(run), project, run.id))
        case RunStep() as step if event.kind is Kind.STEP_STARTED:
            connection.execute(_NEW_STEP, (project, step.run, step.id, event.revision, event.revision))
        case RunStep() as step:
            connection.execute(_CHANGE_STEP, (event.revision, project, step.run, step.id))
        case VersionUse() as use:
            row = (project, use.run, use.model_id, use.number, ArtifactRole.USED, event.revision)
            insert(connection, "run_versions", [row])
        case Artifact() as artifact:
            _project_artifact(connection, project, event, artifact)
        case MetricChange() as change:
            _project_points(connection, project, event.revision, change)


def _project_model(connection: sqlite3.Connection, project: int, event: Event, model: Model) -> None:
    deleted = 2 if model.purged else int(model.delete_time is not None)
    changed = (model.name, deleted, event.revision, project, model.id)
    if event.kind is not Kind.MODEL_CREATED:
        connection.execute(_CHANGE_MODEL, changed)
    elif not connection.execute(_IN_PLACE_OF_PURGED, changed).rowcount:
        connection.execute(_NEW_MODEL, (project, model.id, model.name, event.revision))
    if event.kind is Kind.MODEL_RENAMED:
        connection.execute(_RENAME, (project, event.previous_name, model.id))
    elif event.kind is Kind.MODEL_PURGED:
        for statement in _PURGE:
            connection.execute(statement, (project, model.id))


def _project_version(connection: sqlite3.Connection, project: int, event: Event, version: ModelVersion) -> None:
    _, _, number, *columns = _version_row(project, version)
    connection.execute(_CHANGE_VERSION, (*columns[:-1], event.revision, project, version.model_id, number))
    if event.kind is Kind.ALIAS_SET:
        connection.execute(_SET_ALIAS, (project, version.model_id, event.alias, version.number))
    elif event.kind is Kind.ALIAS_DELETED:
        connection.execute(_DELETE_ALIAS, (project, version.model_id, event.alias))
    elif event.kind in (Kind.METADATA_LOGGED, Kind.VERSION_UPDATED, Kind.VERSION_RENAMED):
        write_facts(connection, project, version)
    elif event.kind is Kind.VERSION_PURGED:
        for statement in _PURGE_VERSION:
            connection.execute(statement, (project, version.model_id, version.number))


def _project_artifact(connection: sqlite3.Connection, project: int, event: Event, artifact: Artifact) -> None:
    key = (project, artifact.model_id, artifact.number, artifact.name, artifact.ordinal)
    if event.kind is Kind.ARTIFACT_UNLINKED:
        connection.execute(_UNLINK, (event.revision, *key))
        return
    identity = identity_key(artifact.digest or artifact.uri)
    connection.execute(_LINK, (*key, identity, artifact.role, 0, event.revision, event.revision))


def _project_points(connection: sqlite3.Connection, project: int, revision: int, change: MetricChange) -> None:
    version = (project, change.model_id, change.number)
    connection.executemany(_END_POINTS, [(revision, *version, key) for key in change.deleted_keys])
    connection.executemany(_DELETE_POINTS, [(*version, key) for key in change.deleted_keys])
    connection.executemany(_END_POINT, [(revision, *version, point.key, point.step) for point in change.points])
    connection.executemany(
        _POINT,
        [
            (*version, point.key, point.step, None if math.isnan(point.value) else point.value, point.time, revision)
            for point in change.points
        ],
    )


def _awaited(run: Run) -> int | None:
    """Return for how long a heartbeat of the run is awaited, None for not."""
    return run.heartbeat_timeout if run.state is RunState.RUNNING else None


def _version_row(project: int, version: ModelVersion) -> tuple[object, ...]:
    automatic_run = version.run if version.automatic else None
    return (
        project,
        version.model_id,
        version.number,
        version.name,
        _stage(version),
        automatic_run,
        2 if version.purged else int(version.delete_time is not None),
        version.create_revision,
    )


def _stage(version: ModelVersion) -> str | None:
    return None if version.stage is Stage.NONE else version.stage.value
