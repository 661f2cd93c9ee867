"""Sets the state of the run that created a version, by events at the end of the log.

Those of earlier releases have none; that of an export as of a revision at which a run had just ended is of before.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from msgspec.structs import replace

from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import ModelVersion, RunState
from tallymark_server.domain.state import State
from tallymark_server.storage.codec import decode_run, decode_version
from tallymark_server.storage.sql.batch_append import append
from tallymark_server.storage.sql.dialect import Dialect
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.state_loader import Log
from tallymark_server.storage.sql.statement import Statement

ACTOR = "tallymark"
REASON = "taken from the run, since the log did not say it"
_STRETCH = 1000


@Statement
def ids_of_projects(_: Dialect) -> str:
    return "SELECT id FROM projects ORDER BY id"


@Statement
def end_of_log(_: Dialect) -> str:
    return "SELECT name, log_id, revision, time, last_model_id, hash FROM projects WHERE id = :project"


@Statement
def versions_without_state(sql: Dialect) -> str:
    version = """
        versions.project = run_versions.project AND versions.model = run_versions.model
        AND versions.number = run_versions.number AND versions.deleted < 2
    """
    run_event = "run_event.project = runs.project AND run_event.revision = runs.revision"
    state = f"coalesce({sql.text('run_event.image', 'state')}, 'running')"
    return f"""
    SELECT run_versions.run, run_versions.model, run_versions.number, events.image, run_event.image FROM run_versions
    {sql.join("versions", version)}
    {sql.join("events", "events.project = versions.project AND events.revision = versions.revision")}
    {sql.join("runs", "runs.project = run_versions.project AND runs.id = run_versions.run")}
    {sql.join("events AS run_event", run_event)}
    WHERE run_versions.project = :project
        AND (run_versions.run, run_versions.model, run_versions.number) > (:run, :model, :number)
        AND run_versions.role = 'made' AND NOT ({sql.same(sql.text("events.image", "run_state"), state)})
    ORDER BY run_versions.run, run_versions.model, run_versions.number LIMIT :limit
    """


async def add_run_states(session: Session) -> None:
    """Append an event for each version that was created in a run and lacks that run's state, in all projects."""
    (projects,) = await session.fetch(ids_of_projects())
    for (project,) in projects:
        async for versions in _without_state(session, project):
            ((row,),) = await session.fetch(end_of_log(project=project))
            name, log_id, revision, last_time, last_model_id, last_hash = row
            state = State(name, log_id, revision, max(last_time, time.time_ns() // 1000), last_model_id)
            events = [_event(state, place, *version) for place, version in enumerate(versions, 1)]
            state.revision = events[-1].revision
            await append(session, Log(project, last_hash), state, events, ())


async def _without_state(session: Session, project: int) -> AsyncIterator[list[tuple[ModelVersion, RunState]]]:
    after: tuple[str, int, int] = ("", 0, 0)
    while True:
        run, model, number = after
        (rows,) = await session.fetch(
            versions_without_state(project=project, run=run, model=model, number=number, limit=_STRETCH)
        )
        if not rows:
            return
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
