"""Projects events to the tables."""

from __future__ import annotations

import math
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
from tallymark_server.storage.sql.facts import insert_facts, replace_facts
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.tables import (
    ALIASES,
    ARTIFACTS,
    FACTS,
    MODELS,
    PAST_POINTS,
    POINTS,
    RENAMES,
    RUN_STEPS,
    RUN_VERSIONS,
    RUNS,
    VERSIONS,
)

_MODEL = ("project", "id")
_OF_MODEL = ("project", "model")
_OF_VERSION = ("project", "model", "number")
_SERIES = (*_OF_VERSION, "metric")
_POINT = (*_SERIES, "step")
_LINK = (*_OF_VERSION, "artifact", "ordinal")
# The columns that are left of a purged version and of a purged model.
_ABOUT_VERSIONS = (ARTIFACTS, POINTS, PAST_POINTS, RUN_VERSIONS, FACTS)
_ABOUT_MODELS = (VERSIONS, ALIASES, *_ABOUT_VERSIONS)


async def project_events(session: Session, project: int, events: Sequence[Event]) -> None:
    """Update the tables to the state after the events.

    New versions wait until the end of their stretch, so that a batch of creates is one statement. Anything else is done
    in its place, since unique indexes need stages and aliases to move in the order of the events.
    """
    fresh: list[ModelVersion] = []
    for event in events:
        if event.kind is Kind.VERSION_CREATED and isinstance(event.image, ModelVersion):
            fresh.append(event.image)
            continue
        if fresh and event.kind is not Kind.MODEL_CREATED:
            await _create_versions(session, project, fresh)
            fresh.clear()
        await _project_event(session, project, event)
    if fresh:
        await _create_versions(session, project, fresh)


async def _create_versions(session: Session, project: int, versions: Sequence[ModelVersion]) -> None:
    await session.insert(VERSIONS, [_version_row(project, version) for version in versions])
    last_numbers = {version.model_id: version.number for version in versions}
    counts = [(number, project, model) for model, number in last_numbers.items()]
    await session.patch(MODELS, ("last_number",), _MODEL, counts)
    made = [
        (project, version.run, version.model_id, version.number, ArtifactRole.MADE, version.create_revision)
        for version in versions
        if version.run is not None
    ]
    if made:
        await session.insert(RUN_VERSIONS, made)
    await insert_facts(session, project, versions)


async def _project_event(session: Session, project: int, event: Event) -> None:
    revision = event.revision
    match event.image:
        case Model() as model:
            await _project_model(session, project, event, model)
        case ModelVersion() as version:
            await _project_version(session, project, event, version)
        case Run() as run if event.kind is Kind.RUN_STARTED:
            await session.insert(RUNS, [(project, run.id, revision, revision, _awaited(run))])
        case Run() as run:
            changed = (revision, _awaited(run), project, run.id)
            await session.patch(RUNS, ("revision", "awaited"), ("project", "id"), [changed])
        case RunStep() as step if event.kind is Kind.STEP_STARTED:
            await session.insert(RUN_STEPS, [(project, step.run, step.id, revision, revision)])
        case RunStep() as step:
            await session.patch(
                RUN_STEPS, ("revision",), ("project", "run", "id"), [(revision, project, step.run, step.id)]
            )
        case VersionUse() as use:
            row = (project, use.run, use.model_id, use.number, ArtifactRole.USED, revision)
            await session.insert(RUN_VERSIONS, [row])
        case Artifact() as artifact:
            await _project_artifact(session, project, event, artifact)
        case MetricChange() as change:
            await _project_points(session, project, revision, change)


async def _project_model(session: Session, project: int, event: Event, model: Model) -> None:
    deleted = 2 if model.purged else int(model.delete_time is not None)
    changed, key = (model.name, deleted, event.revision), (project, model.id)
    columns = ("name", "deleted", "revision")
    if event.kind is not Kind.MODEL_CREATED:
        await session.patch(MODELS, columns, _MODEL, [(*changed, *key)])
    # A model created under the name of a purged one takes its place, and its line.
    elif not await session.patch_if_found(MODELS, columns, (*_MODEL, "deleted"), (*changed, *key, 2)):
        await session.insert(MODELS, [(*key, model.name, 0, 0, event.revision)])
    if event.kind is Kind.MODEL_RENAMED:
        await session.upsert(RENAMES, [(project, event.previous_name, model.id)])
    elif event.kind is Kind.MODEL_PURGED:
        for table in _ABOUT_MODELS:
            await session.remove(table, _OF_MODEL, [key])


async def _project_version(session: Session, project: int, event: Event, version: ModelVersion) -> None:
    key = (project, version.model_id, version.number)
    changed = (*_version_row(project, version)[3:-1], event.revision)
    await session.patch(VERSIONS, VERSIONS.columns[3:], _OF_VERSION, [(*changed, *key)])
    if event.kind is Kind.ALIAS_SET:
        await session.insert(ALIASES, [(project, version.model_id, event.alias, version.number)])
    elif event.kind is Kind.ALIAS_DELETED:
        await session.remove(ALIASES, ("project", "model", "alias"), [(project, version.model_id, event.alias)])
    elif event.kind in (Kind.METADATA_LOGGED, Kind.VERSION_UPDATED, Kind.VERSION_RENAMED):
        await replace_facts(session, project, version)
    elif event.kind is Kind.VERSION_PURGED:
        for table in _ABOUT_VERSIONS:
            await session.remove(table, _OF_VERSION, [key])


async def _project_artifact(session: Session, project: int, event: Event, artifact: Artifact) -> None:
    key = (project, artifact.model_id, artifact.number, artifact.name, artifact.ordinal)
    if event.kind is Kind.ARTIFACT_UNLINKED:
        await session.patch(ARTIFACTS, ("unlinked", "revision"), _LINK, [(1, event.revision, *key)])
        return
    identity = identity_key(artifact.digest or artifact.uri)
    await session.insert(ARTIFACTS, [(*key, identity, artifact.role, 0, event.revision, event.revision)])


async def _project_points(session: Session, project: int, revision: int, change: MetricChange) -> None:
    version = (project, change.model_id, change.number)
    if change.deleted_keys:
        ended = [(*version, key) for key in change.deleted_keys]
        await session.copy(POINTS, PAST_POINTS, "end_revision", _SERIES, [(revision, *each) for each in ended])
        await session.remove(POINTS, _SERIES, ended)
    if change.points:
        measured = [(revision, *version, point.key, point.step) for point in change.points]
        await session.copy(POINTS, PAST_POINTS, "end_revision", _POINT, measured)
        await session.upsert(
            POINTS,
            [(*version, point.key, point.step, _value(point.value), point.time, revision) for point in change.points],
        )


def _value(value: float) -> float | None:
    """Return the value of a point as its column has it: None for not a number."""
    return None if math.isnan(value) else value


def _awaited(run: Run) -> int | None:
    """Return the heartbeat timeout of the run, None if no heartbeat is awaited."""
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
