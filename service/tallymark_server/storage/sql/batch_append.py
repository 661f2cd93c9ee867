"""Writes what a batch has decided: events, receipts, and the end of the log."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark_server.domain.events import Event
from tallymark_server.domain.state import Receipt, State
from tallymark_server.storage.codec import encode
from tallymark_server.storage.log.chain import chained, digest_of, salts
from tallymark_server.storage.log.event_rows import row_of, subject_numbers
from tallymark_server.storage.sql.projection import project_events
from tallymark_server.storage.sql.receipts import keep_answers, keep_receipts
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.state_loader import Log
from tallymark_server.storage.sql.tables import EVENTS, PROJECTS


async def append(
    session: Session,
    log: Log,
    state: State,
    events: Sequence[Event],
    receipts: Sequence[tuple[str, Receipt]],
) -> None:
    """Add the events with their changes of the tables, and the receipts of requests."""
    project = log.project
    if events:
        if project is None:
            project = await session.add_project(state.project, state.log_id)
        rows, last_hash = _event_rows(project, state.log_id, events, log.hash)
        await session.insert(EVENTS, rows)
        await project_events(session, project, events)
        await keep_receipts(session, project, receipts)
        head = (state.revision, state.time, state.last_model_id, last_hash, project)
        await session.patch(PROJECTS, ("revision", "time", "last_model_id", "hash"), ("id",), [head])
    await keep_answers(session, project, state, receipts)


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
