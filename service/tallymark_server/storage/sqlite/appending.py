"""What a batch has decided: events to the log, and what they make true to the tables, in one statement a table."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Model, ModelVersion, Run, Stage
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.codec import encode

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NEW_MODEL = "INSERT INTO models (project, id, name, last_number, deleted, revision) VALUES (?, ?, ?, 0, 0, ?)"
_CHANGE_MODEL = "UPDATE models SET name = ?, deleted = ?, revision = ? WHERE project = ? AND id = ?"
# A model created under the name of a purged one takes its place, and its line.
_IN_PLACE_OF_PURGED = f"{_CHANGE_MODEL} AND deleted = 2"
_RENAME = "INSERT OR REPLACE INTO renames VALUES (?, ?, ?)"
_PURGE = (
    "DELETE FROM versions WHERE project = ? AND model = ?",
    "DELETE FROM aliases WHERE project = ? AND model = ?",
)
_NEW_VERSION = "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_CHANGE_VERSION = """
UPDATE versions SET name = ?, stage = ?, automatic_run = ?, deleted = ?, revision = ?
WHERE project = ? AND model = ? AND number = ?
"""
_COUNT = "UPDATE models SET last_number = ? WHERE project = ? AND id = ?"
_SET_ALIAS = "INSERT INTO aliases VALUES (?, ?, ?, ?)"
_DELETE_ALIAS = "DELETE FROM aliases WHERE project = ? AND model = ? AND alias = ?"
_START_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?)"
_CHANGE_RUN = "UPDATE runs SET revision = ? WHERE project = ? AND id = ?"
_RECEIPT = "INSERT INTO receipts VALUES (?, ?, ?, ?, ?)"
_HASH = "SELECT hash FROM projects WHERE id = ?"
_PROJECT = "UPDATE projects SET revision = ?, time = ?, last_model_id = ?, hash = ? WHERE id = ?"


def append(
    connection: sqlite3.Connection,
    project: int,
    state: State,
    events: Sequence[Event],
    receipts: Iterable[tuple[str, Receipt]],
) -> None:
    """Add the events, with what they make true, and the receipts."""
    if not events:
        return
    (last_hash,) = connection.execute(_HASH, (project,)).fetchone()
    rows, last_hash = _event_rows(project, state.log_id, events, last_hash)
    connection.executemany(_EVENT, rows)
    tell_tables(connection, project, events)
    connection.executemany(
        _RECEIPT,
        [
            (project, request_id, receipt.fingerprint, receipt.events[0].revision, receipt.events[-1].revision)
            for request_id, receipt in receipts
        ],
    )
    connection.execute(_PROJECT, (state.revision, state.time, state.last_model_id, last_hash, project))


def chained(last_hash: bytes, log_id: str, row: Sequence[object]) -> bytes:
    """The hash of an event's row, without the project and the hash, that follows the event of the last hash."""
    text = _encoder.encode([log_id, *row])
    return hashlib.sha256(last_hash + text.encode()).digest()


def row_of(event: Event, model: int, number: int, image: str) -> tuple[object, ...]:
    """The event's row, without the project and the hash."""
    return (
        event.revision,
        event.kind,
        event.time,
        event.actor,
        event.reason,
        model,
        number,
        event.previous_stage,
        event.alias,
        event.previous_number,
        event.previous_name,
        image,
    )


def _event_rows(
    project: int, log_id: str, events: Sequence[Event], last_hash: bytes
) -> tuple[list[tuple[object, ...]], bytes]:
    rows: list[tuple[object, ...]] = []
    for event in events:
        row = row_of(event, *_about(event.image), encode(event.image))
        last_hash = chained(last_hash, log_id, row)
        rows.append((project, *row, last_hash))
    return rows, last_hash


def _about(image: Model | ModelVersion | Run) -> tuple[int, int]:
    match image:
        case ModelVersion():
            return image.model_id, image.number
        case Model():
            return image.id, image.last_number
        case Run():
            return image.model_id, image.number


def tell_tables(connection: sqlite3.Connection, project: int, events: Sequence[Event]) -> None:
    """Bring the tables to the state after the events.

    New versions wait until the end of their stretch, so that a batch of creates is one statement; anything else is done
    in its place, since the order in which a stage or an alias passes on matters to the unique indexes.
    """
    fresh: list[tuple[object, ...]] = []
    last_numbers: dict[int, int] = {}
    for event in events:
        if event.kind is Kind.VERSION_CREATED and isinstance(event.image, ModelVersion):
            fresh.append(_version_row(project, event.image))
            last_numbers[event.image.model_id] = event.image.number
            continue
        if event.kind is not Kind.MODEL_CREATED:
            connection.executemany(_NEW_VERSION, fresh)
            fresh.clear()
        _project_event(connection, project, event)
    connection.executemany(_NEW_VERSION, fresh)
    connection.executemany(_COUNT, [(number, project, model) for model, number in last_numbers.items()])


def _project_event(connection: sqlite3.Connection, project: int, event: Event) -> None:
    match event.image:
        case Model() as model:
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
        case Run() as run if event.kind is Kind.RUN_STARTED:
            connection.execute(_START_RUN, (project, run.id, event.revision, event.revision))
        case Run() as run:
            connection.execute(_CHANGE_RUN, (event.revision, project, run.id))
        case ModelVersion() as version:
            _, _, number, *columns = _version_row(project, version)
            connection.execute(_CHANGE_VERSION, (*columns[:-1], event.revision, project, version.model_id, number))
            if event.kind is Kind.ALIAS_SET:
                connection.execute(_SET_ALIAS, (project, version.model_id, event.alias, version.number))
            elif event.kind is Kind.ALIAS_DELETED:
                connection.execute(_DELETE_ALIAS, (project, version.model_id, event.alias))


def _version_row(project: int, version: ModelVersion) -> tuple[object, ...]:
    automatic_run = version.run if version.automatic else None
    return (
        project,
        version.model_id,
        version.number,
        version.name,
        _stage(version),
        automatic_run,
        int(version.delete_time is not None),
        version.create_revision,
    )


def _stage(version: ModelVersion) -> str | None:
    return None if version.stage is Stage.NONE else version.stage.value
