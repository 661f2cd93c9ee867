"""Loads the state that a batch needs, in one statement for each kind of key, however many keys there are."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tallymark_server.domain.commands import Keys
from tallymark_server.domain.errors import DataDamaged
from tallymark_server.domain.model import Artifact, Holders, ModelVersion
from tallymark_server.domain.reference import By, Reference
from tallymark_server.domain.state import State
from tallymark_server.storage.codec import decode_artifact, decode_model, decode_run, decode_step, decode_version
from tallymark_server.storage.contract import TooMuchError
from tallymark_server.storage.sqlite.event_integrity import WHOLE, WHOLE_IMAGE, whole
from tallymark_server.storage.sqlite.holders import HELD_BY_NAME, holders_of
from tallymark_server.storage.sqlite.receipts import load_receipts

# CROSS JOIN keeps the order of the tables: from the requested keys to what is found. Without it, the planner of a small
# file scans whole tables, and still does when they have grown.
_ONE = "(SELECT :model AS model, :value AS value)"
_MANY = "(SELECT json_extract(value, '$[0]') AS model, json_extract(value, '$[1]') AS value FROM json_each(:pairs))"
_VERSION = "CROSS JOIN versions ON versions.project = :project AND versions.model = models.id AND versions"
_POINTS = {
    By.NUMBER: f"{_VERSION}.number = asked.value",
    By.NAME: f"{_VERSION}.name = asked.value",
    # The planner uses a partial index only when its own condition is in the query.
    By.STAGE: f"{_VERSION}.stage = asked.value AND versions.stage IN ('staging', 'production')",
    By.ALIAS: "CROSS JOIN aliases ON aliases.project = :project AND aliases.model = models.id"
    f" AND aliases.alias = asked.value {_VERSION}.number = aliases.number",
    By.LATEST: f"{_VERSION}.number = (SELECT number FROM versions AS newest INDEXED BY live_versions"
    " WHERE newest.project = :project AND newest.model = models.id AND newest.deleted = 0"
    " ORDER BY number DESC LIMIT 1)",
}


def _pointed(asked: str, point: str) -> str:
    return f"""
    SELECT models.name, asked.value, {WHOLE_IMAGE}, versions.model, versions.number FROM {asked} AS asked
    CROSS JOIN models ON models.project = :project AND models.name = asked.model AND models.deleted <= :deleted
    {point}
    CROSS JOIN events ON events.project = :project AND events.revision = versions.revision
    """


POINTED_ONE = {by: _pointed(_ONE, point) for by, point in _POINTS.items()}
POINTED_MANY = {by: _pointed(_MANY, point) for by, point in _POINTS.items()}
AUTOMATIC = _pointed(_MANY, f"{_VERSION}.automatic_run = asked.value")
PROJECT = "SELECT id, hash, log_id, revision, time, last_model_id FROM projects WHERE name = ?"
MODELS = f"""
SELECT models.name, models.last_number, {WHOLE_IMAGE} FROM json_each(:asked) AS asked
CROSS JOIN models ON models.project = :project AND models.name = asked.value
CROSS JOIN events ON events.project = :project AND events.revision = models.revision
"""
RENAMED = """
SELECT asked.value, models.name FROM json_each(:asked) AS asked
CROSS JOIN renames ON renames.project = :project AND renames.old_name = asked.value
CROSS JOIN models ON models.project = :project AND models.id = renames.model
"""
RUNS = f"""
SELECT runs.id, {WHOLE}, models.name, {whole("run_version")} FROM json_each(:asked) AS asked
CROSS JOIN runs ON runs.project = :project AND runs.id = asked.value
CROSS JOIN events ON events.project = :project AND events.revision = runs.revision
LEFT JOIN models ON models.project = :project AND models.id = events.model
LEFT JOIN versions ON versions.project = :project AND versions.model = events.model AND versions.number = events.number
LEFT JOIN events AS run_version ON run_version.project = :project AND run_version.revision = versions.revision
"""
STEPS = f"""
SELECT {WHOLE}, models.name
FROM (SELECT json_extract(value, '$[0]') AS run, json_extract(value, '$[1]') AS id FROM json_each(:pairs)) AS asked
CROSS JOIN run_steps ON run_steps.project = :project AND run_steps.run = asked.run AND run_steps.id = asked.id
CROSS JOIN events ON events.project = :project AND events.revision = run_steps.revision
LEFT JOIN models ON models.project = :project AND models.id = events.model
"""
MADE = f"""
SELECT run_versions.run, models.name, {WHOLE} FROM json_each(:asked) AS asked
CROSS JOIN run_versions ON run_versions.project = :project AND run_versions.run = asked.value
    AND run_versions.role = 'made'
CROSS JOIN models ON models.project = :project AND models.id = run_versions.model
CROSS JOIN versions ON versions.project = :project AND versions.model = run_versions.model
    AND versions.number = run_versions.number
CROSS JOIN events ON events.project = :project AND events.revision = versions.revision
"""
USES = f"""
SELECT asked.value, models.name, run_versions.number FROM {_MANY} AS asked
CROSS JOIN models ON models.project = :project AND models.name = asked.model
CROSS JOIN run_versions ON run_versions.project = :project AND run_versions.run = asked.value
    AND run_versions.model = models.id AND run_versions.role = 'used'
"""
ARTIFACTS = f"""
SELECT {WHOLE}, models.name
FROM (
    SELECT json_extract(value, '$[0]') AS model, json_extract(value, '$[1]') AS number,
        json_extract(value, '$[2]') AS artifact
    FROM json_each(:pairs)
) AS asked
CROSS JOIN models ON models.project = :project AND models.name = asked.model
CROSS JOIN artifacts ON artifacts.project = :project AND artifacts.model = models.id
    AND artifacts.number = asked.number AND artifacts.artifact = asked.artifact
CROSS JOIN events ON events.project = :project AND events.revision = artifacts.revision
ORDER BY artifacts.model, artifacts.number, artifacts.artifact, artifacts.ordinal
"""
# Counted when one is linked, which is seldom: ten thousand, the most, take a fraction of a millisecond.
LINKED = """
SELECT asked.model, asked.number, (
    SELECT count(*) FROM artifacts
    WHERE artifacts.project = :project AND artifacts.model = models.id AND artifacts.number = asked.number
)
FROM (
    SELECT json_extract(value, '$[0]') AS model, json_extract(value, '$[1]') AS number FROM json_each(:pairs)
) AS asked
CROSS JOIN models ON models.project = :project AND models.name = asked.model
"""


class Log(NamedTuple):
    """A project's id in this file, None before it is there, and the hash of its last event."""

    project: int | None
    hash: bytes


def load(connection: sqlite3.Connection, project: str, keys: Keys, most: int | None = None) -> tuple[Log, State]:
    """Return the project's log, and everything of the project that the keys name. Raises TooMuchError."""
    row = connection.execute(PROJECT, (project,)).fetchone()
    if row is None:
        state = State(project, new_log_id(), 0, 0, 0, is_new=True)
        if keys.receipts:
            load_receipts(connection, None, keys.receipts, state)
        return Log(None, b""), state
    project_id, last_hash, log_id, revision, time, last_model_id = row
    state = State(project, log_id, revision, time, last_model_id)
    if keys.models:
        _load_models(connection, project_id, keys.models, state)
    if keys.versions:
        _load_versions(connection, project_id, keys.versions, state)
    if keys.automatic:
        _load_automatic(connection, project_id, keys.automatic, state)
    if keys.runs:
        _load_runs(connection, project_id, keys.runs, state)
    if keys.made:
        _load_made(connection, project_id, keys.made, state, most)
    if keys.steps:
        _load_steps(connection, project_id, keys.steps, state)
    if keys.uses:
        _load_uses(connection, project_id, keys.uses, state)
    if keys.artifacts:
        _load_artifacts(connection, project_id, keys.artifacts, state)
    if keys.holders:
        _load_holders(connection, project_id, keys.holders, state)
    if keys.receipts:
        load_receipts(connection, project_id, keys.receipts, state)
    return Log(project_id, last_hash), state


def new_log_id() -> str:
    """Return an id that no other log has."""
    return secrets.token_hex(8)


def pointed(
    connection: sqlite3.Connection, project: int, model: str, reference: Reference, *, of_deleted: bool
) -> tuple[ModelVersion | None, int]:
    """Return the version that the reference means, with `of_deleted` also of a deleted model, and its image's size.

    The size is in characters of JSON.
    """
    given = {"project": project, "model": model, "value": reference.value, "deleted": int(of_deleted)}
    for name, _, image, *key in connection.execute(POINTED_ONE[reference.by], given):
        version = that(decode_version(image, name), key)
        return (None if version.purged else version), len(image)
    return None, 0


def _found(
    connection: sqlite3.Connection, sql: str, project: int, pairs: Iterable[tuple[str, str | int]]
) -> Iterable[tuple[str | int, ModelVersion]]:
    """Yield the values of the pairs, each with the version that it points at; nothing for those that point nowhere."""
    given = {"project": project, "pairs": _json(pairs), "deleted": 1}
    for model, value, image, *key in connection.execute(sql, given):
        yield value, that(decode_version(image, model), key)


def that(version: ModelVersion, key: list[int]) -> ModelVersion:
    """Return the version if it is the one of its row in the tables. Raises DataDamaged."""
    if [version.model_id, version.number] != key:
        raise DataDamaged(f"revision {version.mod_revision:,} is of another version", version.mod_revision)
    return version


def _load_models(connection: sqlite3.Connection, project: int, names: set[str], state: State) -> None:
    state.models.update(dict.fromkeys(names))
    for name, last_number, image in connection.execute(MODELS, {"project": project, "asked": _json(names)}):
        state.models[name] = decode_model(image, last_number)
        state.last_numbers[name] = last_number
    missing = [name for name in names if state.models[name] is None]
    if missing:
        state.renamed.update(connection.execute(RENAMED, {"project": project, "asked": _json(missing)}))


def _load_versions(
    connection: sqlite3.Connection, project: int, wanted: set[tuple[str, Reference]], state: State
) -> None:
    pairs: dict[By, list[tuple[str, str | int]]] = {}
    for model, reference in wanted:
        pairs.setdefault(reference.by, []).append((model, reference.value))
        if reference.by is By.NUMBER:
            state.versions.setdefault((model, int(reference.value)))
        else:
            state.pointers[(model, reference)] = None
    for by, asked in pairs.items():
        for value, version in _found(connection, POINTED_MANY[by], project, asked):
            state.versions[(version.model, version.number)] = version
            if by is not By.NUMBER:
                state.pointers[(version.model, Reference(by, value))] = version.number


def _load_automatic(connection: sqlite3.Connection, project: int, wanted: set[tuple[str, str]], state: State) -> None:
    state.automatic.update(dict.fromkeys(wanted))
    pairs = [(model, run) for run, model in wanted]
    for run, version in _found(connection, AUTOMATIC, project, pairs):
        state.versions[(version.model, version.number)] = version
        state.automatic[(str(run), version.model)] = version.number


def _load_runs(connection: sqlite3.Connection, project: int, ids: set[str], state: State) -> None:
    state.runs.update(dict.fromkeys(ids))
    for run_id, image, model, version in connection.execute(RUNS, {"project": project, "asked": _json(ids)}):
        run = decode_run(image, model)
        state.runs[run_id] = run
        if version is not None:
            state.versions[(model, run.number)] = decode_version(version, model)


def _load_made(connection: sqlite3.Connection, project: int, ids: set[str], state: State, most: int | None) -> None:
    state.made.update({run: set() for run in ids})
    rows = connection.execute(MADE, {"project": project, "asked": _json(ids)})
    for count, (run, model, image) in enumerate(rows, 1):
        if most is not None and count > most:
            raise TooMuchError
        version = decode_version(image, model)
        state.versions[(model, version.number)] = version
        state.made[run].add((model, version.number))


def _load_steps(connection: sqlite3.Connection, project: int, wanted: set[tuple[str, str]], state: State) -> None:
    state.steps.update(dict.fromkeys(wanted))
    for image, model in connection.execute(STEPS, {"project": project, "pairs": _json(wanted)}):
        step = decode_step(image, model)
        state.steps[(step.run, step.id)] = step


def _load_uses(connection: sqlite3.Connection, project: int, wanted: set[tuple[str, str]], state: State) -> None:
    state.uses.update({key: set() for key in wanted})
    pairs = [(model, run) for run, model in wanted]
    for run, model, number in connection.execute(USES, {"project": project, "pairs": _json(pairs)}):
        state.uses[(run, model)].add(number)


def _load_artifacts(
    connection: sqlite3.Connection, project: int, wanted: set[tuple[str, Reference, str]], state: State
) -> None:
    for model, reference, name in wanted:
        version = state.find(model, reference)
        if version is not None:
            state.artifacts[(model, version.number, name)] = ()
            state.linked[(model, version.number)] = 0
    found: dict[tuple[str, int, str], list[Artifact]] = {}
    for image, model in connection.execute(ARTIFACTS, {"project": project, "pairs": _json(state.artifacts)}):
        artifact = decode_artifact(image, model)
        found.setdefault((model, artifact.number, artifact.name), []).append(artifact)
    state.artifacts.update((key, tuple(links)) for key, links in found.items())
    for model, number, count in connection.execute(LINKED, {"project": project, "pairs": _json(state.linked)}):
        state.linked[(model, number)] = count


def _load_holders(connection: sqlite3.Connection, project: int, names: set[str], state: State) -> None:
    state.holders.update(dict.fromkeys(names, Holders()))
    for name, *row in connection.execute(HELD_BY_NAME, {"project": project, "asked": _json(names)}):
        state.holders[name] = holders_of(row)


def _json(values: Iterable[object]) -> str:
    return msgspec.json.encode(list(values)).decode()
