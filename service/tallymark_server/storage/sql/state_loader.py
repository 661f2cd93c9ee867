"""Loads the state that a batch needs, in one statement for each kind of key, however many keys there are."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.model import Artifact, Holders, ModelVersion
from tallymark_server.domain.reference import By, Reference
from tallymark_server.domain.state import State
from tallymark_server.storage.codec import decode_artifact, decode_model, decode_run, decode_step, decode_version
from tallymark_server.storage.contract import TooMuchError
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.holders import held_by_name, holders_of
from tallymark_server.storage.sql.receipts import load_receipts, selects
from tallymark_server.storage.sql.session import ReadSession, Row
from tallymark_server.storage.sql.statement import Select, Statement, parameter

_NO_LIMIT = 2**62


@Statement
def project_by_name(_: Dialect) -> str:
    return "SELECT id, hash, log_id, revision, time, last_model_id FROM projects WHERE name = :name"


@Statement
def models_by_name(sql: Dialect) -> str:
    return f"""
    SELECT models.name, models.last_number, {sql.whole_image()} FROM {sql.keys("wanted", name=Type.TEXT)}
    {sql.join("models", "models.project = :project AND models.name = wanted.name")}
    {sql.join("events", "events.project = :project AND events.revision = models.revision")}
    """


@Statement
def models_by_old_name(sql: Dialect) -> str:
    return f"""
    SELECT wanted.name, models.name FROM {sql.keys("wanted", name=Type.TEXT)}
    {sql.join("renames", "renames.project = :project AND renames.old_name = wanted.name")}
    {sql.join("models", "models.project = :project AND models.id = renames.model")}
    """


def _version_join(sql: Dialect, by: By, value: str) -> str:
    """Return the join of a row of `models` with the version that a reference with this value means."""
    of_model = "versions.project = :project AND versions.model = models.id AND versions"
    match by:
        case By.NUMBER:
            return sql.join("versions", f"{of_model}.number = {value}")
        case By.NAME:
            return sql.join("versions", f"{of_model}.name = {value}")
        case By.STAGE:
            # A planner uses a partial index only when the condition of the index is in the query.
            return sql.join("versions", f"{of_model}.stage = {value} AND versions.stage IN ('staging', 'production')")
        case By.ALIAS:
            alias = f"aliases.project = :project AND aliases.model = models.id AND aliases.alias = {value}"
            return f"{sql.join('aliases', alias)} {sql.join('versions', f'{of_model}.number = aliases.number')}"
        case By.LATEST:
            latest = f"""(
                SELECT number FROM {sql.indexed("versions AS newest", "live_versions")}
                WHERE newest.project = :project AND newest.model = models.id AND newest.deleted = 0
                ORDER BY number DESC LIMIT 1
            )"""
            return sql.join("versions", f"{of_model}.number = {latest}")


_EVENT_OF_VERSION = "events.project = :project AND events.revision = versions.revision"


def _version_by(by: By, sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole_image()}, versions.model, versions.number
    FROM models {_version_join(sql, by, ":value")} {sql.join("events", _EVENT_OF_VERSION)}
    WHERE models.project = :project AND models.name = :model AND models.deleted <= :deleted
    """


def _versions(sql: Dialect, value: Type, join: str) -> str:
    return f"""
    SELECT models.name, wanted.value, {sql.whole_image()}, versions.model, versions.number
    FROM {sql.keys("wanted", model=Type.TEXT, value=value)}
    {sql.join("models", "models.project = :project AND models.name = wanted.model")}
    {join} {sql.join("events", _EVENT_OF_VERSION)}
    """


def _versions_by(by: By, sql: Dialect) -> str:
    value = Type.INTEGER if by is By.NUMBER else Type.TEXT
    return _versions(sql, value, _version_join(sql, by, "wanted.value"))


version_by = {by: Statement(partial(_version_by, by)) for by in By}
versions_by = {by: Statement(partial(_versions_by, by)) for by in By}


@Statement
def automatic_versions(sql: Dialect) -> str:
    of_run = "versions.project = :project AND versions.model = models.id AND versions.automatic_run = wanted.value"
    return _versions(sql, Type.TEXT, sql.join("versions", of_run))


@Statement
def runs_by_id(sql: Dialect) -> str:
    version = "versions.project = :project AND versions.model = events.model AND versions.number = events.number"
    version_event = "version_event.project = :project AND version_event.revision = versions.revision"
    return f"""
    SELECT runs.id, {sql.whole("events")}, models.name, {sql.whole("version_event")}
    FROM {sql.keys("wanted", id=Type.TEXT)}
    {sql.join("runs", "runs.project = :project AND runs.id = wanted.id")}
    {sql.join("events", "events.project = :project AND events.revision = runs.revision")}
    {sql.join("models", "models.project = :project AND models.id = events.model", left=True)}
    {sql.join("versions", version, left=True)}
    {sql.join("events AS version_event", version_event, left=True)}
    """


@Statement
def steps_by_id(sql: Dialect) -> str:
    return f"""
    SELECT {sql.whole("events")}, models.name FROM {sql.keys("wanted", run=Type.TEXT, id=Type.TEXT)}
    {sql.join("run_steps", "run_steps.project = :project AND run_steps.run = wanted.run AND run_steps.id = wanted.id")}
    {sql.join("events", "events.project = :project AND events.revision = run_steps.revision")}
    {sql.join("models", "models.project = :project AND models.id = events.model", left=True)}
    """


@Statement
def made_versions(sql: Dialect) -> str:
    made = "run_versions.project = :project AND run_versions.run = wanted.run AND run_versions.role = 'made'"
    version = """
        versions.project = :project AND versions.model = run_versions.model AND versions.number = run_versions.number
    """
    return f"""
    SELECT run_versions.run, models.name, {sql.whole("events")} FROM {sql.keys("wanted", run=Type.TEXT)}
    {sql.join("run_versions", made, many=True)}
    {sql.join("models", "models.project = :project AND models.id = run_versions.model")}
    {sql.join("versions", version)}
    {sql.join("events", _EVENT_OF_VERSION)}
    LIMIT :limit
    """


@Statement
def used_versions(sql: Dialect) -> str:
    used = """
        run_versions.project = :project AND run_versions.run = wanted.run AND run_versions.model = models.id
        AND run_versions.role = 'used'
    """
    return f"""
    SELECT run_versions.run, models.name, run_versions.number FROM {sql.keys("wanted", run=Type.TEXT, model=Type.TEXT)}
    {sql.join("models", "models.project = :project AND models.name = wanted.model")}
    {sql.join("run_versions", used, many=True)}
    """


@Statement
def artifacts_by_name(sql: Dialect) -> str:
    artifact = """
        artifacts.project = :project AND artifacts.model = models.id AND artifacts.number = wanted.number
        AND artifacts.artifact = wanted.artifact
    """
    return f"""
    SELECT {sql.whole("events")}, models.name
    FROM {sql.keys("wanted", model=Type.TEXT, number=Type.INTEGER, artifact=Type.TEXT)}
    {sql.join("models", "models.project = :project AND models.name = wanted.model")}
    {sql.join("artifacts", artifact, many=True)}
    {sql.join("events", "events.project = :project AND events.revision = artifacts.revision")}
    ORDER BY artifacts.model, artifacts.number, artifacts.artifact, artifacts.ordinal
    """


# Counted when one is linked, which is seldom: ten thousand, the most, take a fraction of a millisecond.
@Statement
def counts_of_artifacts(sql: Dialect) -> str:
    return f"""
    SELECT wanted.model, wanted.number, (
        SELECT count(*) FROM artifacts
        WHERE artifacts.project = :project AND artifacts.model = models.id AND artifacts.number = wanted.number
    )
    FROM {sql.keys("wanted", model=Type.TEXT, number=Type.INTEGER)}
    {sql.join("models", "models.project = :project AND models.name = wanted.model")}
    """


class Log(NamedTuple):
    """A project's id in this database, None before it is there, and the hash of its last event."""

    project: int | None
    hash: bytes


class _Part(NamedTuple):
    """A statement, and the function that adds its rows to the state."""

    select: Select
    add: Callable[[list[Row]], None]


async def load(
    session: ReadSession, project: str, keys: Keys, most: int | None = None, *, project_id: int | None = None
) -> tuple[Log, State]:
    """Return the project's log, and everything of the project that the keys name. Raises TooMuchError.

    If the id of the project is given, all that does not depend on what is found comes in one round trip.
    """
    state = State(project, "", 0, 0, 0)
    head = project_by_name(name=project)
    if project_id is None:
        (found,) = await session.fetch(head)
        if not found:
            state.is_new, state.log_id = True, new_log_id()
            await load_receipts(
                session, None, keys.receipts, state, await session.fetch(*selects(session, None, keys.receipts))
            )
            return Log(None, b""), state
        project_id = int(found[0][0])
        parts = list(_parts(project_id, keys, state, most))
        answers = await session.fetch(*(part.select for part in parts), *selects(session, project_id, keys.receipts))
    else:
        parts = list(_parts(project_id, keys, state, most))
        found, *answers = await session.fetch(
            head, *(part.select for part in parts), *selects(session, project_id, keys.receipts)
        )
    ((_, last_hash, state.log_id, state.revision, state.time, state.last_model_id),) = found
    for part, rows in zip(parts, answers, strict=False):
        part.add(rows)
    await _load_further(session, project_id, keys, state)
    await load_receipts(session, project_id, keys.receipts, state, answers[len(parts) :])
    return Log(project_id, last_hash), state


def new_log_id() -> str:
    """Return an id that no other log has."""
    return secrets.token_hex(8)


async def load_version(
    session: ReadSession, project: int, model: str, reference: Reference, *, of_deleted: bool
) -> tuple[ModelVersion | None, int]:
    """Return the version that the reference means, with `of_deleted` also of a deleted model, and its image's size.

    The size is in characters of JSON.
    """
    (rows,) = await session.fetch(
        version_by[reference.by](project=project, model=model, value=reference.value, deleted=int(of_deleted))
    )
    for image, *key in rows:
        version = checked(decode_version(image, model), key)
        return (None if version.purged else version), len(image)
    return None, 0


def checked(version: ModelVersion, key: list[int]) -> ModelVersion:
    """Return the version if it is the one of its row in the tables. Raises DataDamaged."""
    if [version.model_id, version.number] != key:
        raise DataDamaged(f"revision {version.mod_revision:,} is of another version", version.mod_revision)
    return version


def _parts(project: int, keys: Keys, state: State, most: int | None) -> Iterator[_Part]:
    """Yield what can be fetched by the keys alone."""
    if keys.models:
        state.models.update(dict.fromkeys(keys.models))
        yield _Part(models_by_name(project=project, wanted=parameter(keys.models)), partial(_add_models, state))
    if keys.versions:
        yield from _version_parts(project, keys.versions, state)
    if keys.automatic:
        state.automatic.update(dict.fromkeys(keys.automatic))
        wanted = parameter((model, run) for run, model in keys.automatic)
        yield _Part(automatic_versions(project=project, wanted=wanted), partial(_add_automatic, state))
    if keys.runs:
        state.runs.update(dict.fromkeys(keys.runs))
        yield _Part(runs_by_id(project=project, wanted=parameter(keys.runs)), partial(_add_runs, state))
    if keys.made:
        state.made.update({run: set() for run in keys.made})
        limit = _NO_LIMIT if most is None else most + 1
        made = made_versions(project=project, wanted=parameter(keys.made), limit=limit)
        yield _Part(made, partial(_add_made, state, limit))
    if keys.steps:
        state.steps.update(dict.fromkeys(keys.steps))
        yield _Part(steps_by_id(project=project, wanted=parameter(keys.steps)), partial(_add_steps, state))
    if keys.uses:
        state.uses.update({key: set() for key in keys.uses})
        yield _Part(used_versions(project=project, wanted=parameter(keys.uses)), partial(_add_uses, state))
    if keys.holders:
        state.holders.update(dict.fromkeys(keys.holders, Holders()))
        yield _Part(held_by_name(project=project, wanted=parameter(keys.holders)), partial(_add_holders, state))


def _version_parts(project: int, wanted: set[tuple[str, Reference]], state: State) -> Iterator[_Part]:
    pairs: dict[By, list[tuple[str, str | int]]] = {}
    for model, reference in wanted:
        pairs.setdefault(reference.by, []).append((model, reference.value))
        if reference.by is By.NUMBER:
            state.versions.setdefault((model, int(reference.value)))
        else:
            state.pointers[(model, reference)] = None
    for by, of_kind in pairs.items():
        select = versions_by[by](project=project, wanted=parameter(of_kind))
        yield _Part(select, partial(_add_versions, state, by))


def _add_models(state: State, rows: list[Row]) -> None:
    for name, last_number, image in rows:
        state.models[name] = decode_model(image, last_number)
        state.last_numbers[name] = last_number


def _add_versions(state: State, by: By, rows: list[Row]) -> None:
    for model, value, image, *key in rows:
        version = checked(decode_version(image, model), key)
        state.versions[(model, version.number)] = version
        if by is not By.NUMBER:
            state.pointers[(model, Reference(by, value))] = version.number


def _add_automatic(state: State, rows: list[Row]) -> None:
    for model, run, image, *key in rows:
        version = checked(decode_version(image, model), key)
        state.versions[(model, version.number)] = version
        state.automatic[(run, model)] = version.number


def _add_runs(state: State, rows: list[Row]) -> None:
    for run_id, image, model, version in rows:
        run = decode_run(image, model)
        state.runs[run_id] = run
        if version is not None:
            state.versions[(model, run.number)] = decode_version(version, model)


def _add_made(state: State, limit: int, rows: list[Row]) -> None:
    if len(rows) == limit:
        raise TooMuchError
    for run, model, image in rows:
        version = decode_version(image, model)
        state.versions[(model, version.number)] = version
        state.made[run].add((model, version.number))


def _add_steps(state: State, rows: list[Row]) -> None:
    for image, model in rows:
        step = decode_step(image, model)
        state.steps[(step.run, step.id)] = step


def _add_uses(state: State, rows: list[Row]) -> None:
    for run, model, number in rows:
        state.uses[(run, model)].add(number)


def _add_holders(state: State, rows: list[Row]) -> None:
    for name, *row in rows:
        state.holders[name] = holders_of(row)


async def _load_further(session: ReadSession, project: int, keys: Keys, state: State) -> None:
    """Load what depends on the models and versions that were found."""
    parts: list[_Part] = []
    missing = [name for name in keys.models if state.models[name] is None]
    if missing:
        parts.append(_Part(models_by_old_name(project=project, wanted=parameter(missing)), state.renamed.update))
    if keys.artifacts:
        parts += _artifact_parts(project, keys.artifacts, state)
    if parts:
        for part, rows in zip(parts, await session.fetch(*(part.select for part in parts)), strict=True):
            part.add(rows)


def _artifact_parts(project: int, wanted: set[tuple[str, Reference, str]], state: State) -> Iterator[_Part]:
    for model, reference, name in wanted:
        version = state.find(model, reference)
        if version is not None:
            state.artifacts[(model, version.number, name)] = ()
            state.linked[(model, version.number)] = 0
    links = artifacts_by_name(project=project, wanted=parameter(state.artifacts))
    yield _Part(links, partial(_add_artifacts, state))
    counts = counts_of_artifacts(project=project, wanted=parameter(state.linked))
    yield _Part(counts, partial(_add_counts, state))


def _add_artifacts(state: State, rows: list[Row]) -> None:
    found: dict[tuple[str, int, str], list[Artifact]] = {}
    for image, model in rows:
        artifact = decode_artifact(image, model)
        found.setdefault((model, artifact.number, artifact.name), []).append(artifact)
    state.artifacts.update((key, tuple(links)) for key, links in found.items())


def _add_counts(state: State, rows: list[Row]) -> None:
    for model, number, count in rows:
        state.linked[(model, number)] = count
