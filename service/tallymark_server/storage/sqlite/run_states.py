"""Sets the state of the run that created a version, by events at the end of the log.

Those of earlier releases have none; that of an export as of a revision at which a run had just ended is of before.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from msgspec.structs import replace

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import ModelVersion, RunState
from tallymark_server.domain.state import State
from tallymark_server.storage.codec import decode_run, decode_version
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.sql.batch_append import append
from tallymark_server.storage.sql.state_loader import Log
from tallymark_server.storage.sqlite.session import SqliteSession

ACTOR = "tallymark"
REASON = "taken from the run, since the log did not say it"
_STRETCH = 1000
_PROJECT = "SELECT name, log_id, revision, time, last_model_id, hash FROM projects WHERE id = ?"
_WITHOUT = f"""
SELECT run_versions.run, run_versions.model, run_versions.number, events.image, run_event.image FROM run_versions
CROSS JOIN versions ON versions.project = run_versions.project AND versions.model = run_versions.model
    AND versions.number = run_versions.number AND versions.deleted < 2
CROSS JOIN events ON events.project = versions.project AND events.revision = versions.revision
CROSS JOIN runs ON runs.project = run_versions.project AND runs.id = run_versions.run
CROSS JOIN events AS run_event ON run_event.project = runs.project AND run_event.revision = runs.revision
WHERE run_versions.project = ? AND (run_versions.run, run_versions.model, run_versions.number) > (?, ?, ?)
    AND run_versions.role = 'made'
    AND json_extract(events.image, '$.run_state') IS NOT coalesce(json_extract(run_event.image, '$.state'), 'running')
ORDER BY run_versions.run, run_versions.model, run_versions.number LIMIT {_STRETCH}
"""


def add_run_states(connection: sqlite3.Connection) -> None:
    """Append an event for each version that was created in a run and lacks that run's state, in all projects."""
    for (project,) in connection.execute("SELECT id FROM projects ORDER BY id").fetchall():
        for versions in _without_state(connection, project):
            state, log = _head(connection, project)
            events = [_event(state, place, *version) for place, version in enumerate(versions, 1)]
            state.revision = events[-1].revision
            run_immediately(append(SqliteSession(connection), log, state, events, ()))


def _head(connection: sqlite3.Connection, project: int) -> tuple[State, Log]:
    name, log_id, revision, last_time, last_model_id, last_hash = connection.execute(_PROJECT, (project,)).fetchone()
    now = max(last_time, time.time_ns() // 1000)
    return State(name, log_id, revision, now, last_model_id), Log(project, last_hash)


def _without_state(connection: sqlite3.Connection, project: int) -> Iterator[list[tuple[ModelVersion, RunState]]]:
    after: tuple[str, int, int] = ("", 0, 0)
    while rows := connection.execute(_WITHOUT, (project, *after)).fetchall():
        after = rows[-1][:3]
        yield [(decode_version(image, ""), decode_run(run_image, None).state) for *_, image, run_image in rows]


def _event(state: State, place: int, version: ModelVersion, run_state: RunState) -> Event:
    revision = state.revision + place
    return Event(
        revision=revision,
        kind=Kind.VERSION_RUN_STATE_CHANGED,
        time=state.time,
        actor=ACTOR,
        image=replace(version, run_state=run_state, mod_revision=revision, update_time=state.time),
        reason=REASON,
    )
