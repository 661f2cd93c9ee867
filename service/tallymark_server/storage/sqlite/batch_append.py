"""Writes what a batch has decided: events, receipts, and the end of the log, each in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tallymark_server.domain.events import Event
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.codec import encode
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.chain import chained, digest_of, salts
from tallymark_server.storage.log.event_rows import row_of, subject_numbers
from tallymark_server.storage.sql.projection import project_events
from tallymark_server.storage.sqlite.bulk_insert import insert
from tallymark_server.storage.sqlite.receipts import keep_answers, keep_receipts
from tallymark_server.storage.sqlite.session import SqliteSession
from tallymark_server.storage.sqlite.state_loader import Log

_NEW_PROJECT = "INSERT INTO projects (name, log_id) VALUES (?, ?) RETURNING id"
_PROJECT = "UPDATE projects SET revision = ?, time = ?, last_model_id = ?, hash = ? WHERE id = ?"


def append(
    connection: sqlite3.Connection,
    log: Log,
    state: State,
    events: Sequence[Event],
    receipts: Sequence[tuple[str, Receipt]],
) -> None:
    """Add the events with their changes of the tables, and the receipts of requests."""
    project = log.project
    if events:
        if project is None:
            project = _begin(connection, state)
        rows, last_hash = _event_rows(project, state.log_id, events, log.hash)
        insert(connection, "events", rows)
        run_immediately(project_events(SqliteSession(connection), project, events))
        keep_receipts(connection, project, receipts)
        connection.execute(_PROJECT, (state.revision, state.time, state.last_model_id, last_hash, project))
    keep_answers(connection, project, state, receipts)


def _begin(connection: sqlite3.Connection, state: State) -> int:
    """Add the project, and return its id."""
    ((project,),) = connection.execute(_NEW_PROJECT, (state.project, state.log_id)).fetchall()
    return int(project)


def _event_rows(
    project: int, log_id: str, events: Sequence[Event], last_hash: bytes
) -> tuple[list[tuple[object, ...]], bytes]:
    rows: list[tuple[object, ...]] = []
    for event, salt in zip(events, salts(len(events)), strict=True):
        row = row_of(event, *subject_numbers(event.image), encode(event.image))
        digest = digest_of(salt, row)
        last_hash = chained(last_hash, log_id, row, digest)
        rows.append((project, *row, last_hash, salt, digest, 0))
    return rows, last_hash
