"""Erases content: looks for it in the log, and overwrites it there and in the tables."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

from tallymark_server.domain.commands import Erasing
from tallymark_server.domain.erasure import Eraser, subject_of
from tallymark_server.domain.errors import RegistryError
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Erasure
from tallymark_server.domain.state import Prospect, State, Subject
from tallymark_server.storage.codec import decode_artifact, decode_version, encode
from tallymark_server.storage.index_keys import identity_key
from tallymark_server.storage.log.chain import digest_of, salts
from tallymark_server.storage.log.event_rows import COMMON, OF_MODELS, RUN_CHANGES, event_of, row_of
from tallymark_server.storage.log.seals import erasure_part
from tallymark_server.storage.sql.dialect import Dialect, Type
from tallymark_server.storage.sql.event_columns import listed, none_of, one_of
from tallymark_server.storage.sql.facts import replace_facts
from tallymark_server.storage.sql.history import events_at
from tallymark_server.storage.sql.receipts import forget_answers
from tallymark_server.storage.sql.session import Session
from tallymark_server.storage.sql.statement import Select, Statement, parameter
from tallymark_server.storage.sql.tables import ARTIFACTS, PAST_POINTS, POINTS, RENAMES, REWRITTEN

_STRETCH = 1000
# How much of a log one statement searches without an index.
_SEARCHED = 50_000
_VERSION = ("project", "model", "number")


# Erasing events of a run are found by their kind; those of versions and models have their numbers.
@Statement
def revisions_of_run(sql: Dialect) -> str:
    return f"""
    SELECT start_revision AS revision FROM runs WHERE project = :project AND id = :run
    UNION SELECT revision FROM {sql.indexed("events", "changes_of_runs")}
        WHERE project = :project AND {sql.text_is("image", "id", ":run")} AND {one_of("kind", RUN_CHANGES)}
    UNION SELECT start_revision FROM run_steps WHERE project = :project AND run = :run
    UNION SELECT revision FROM run_steps WHERE project = :project AND run = :run
    UNION SELECT revision FROM {sql.indexed("events", "kinds_of_projects")}
        WHERE project = :project AND kind = '{Kind.ERASED}' AND {none_of("kind", sorted(COMMON))}
            AND {sql.text("image", "run")} = :run
    ORDER BY revision
    """


@Statement
def revisions_of_version(sql: Dialect) -> str:
    return f"""
    SELECT revision FROM {sql.indexed("events", "events_of_versions")}
    WHERE project = :project AND model = :model AND number = :number AND kind NOT IN ({listed(OF_MODELS)})
    ORDER BY revision
    """


@Statement
def revisions_of_model(sql: Dialect) -> str:
    return f"""
    SELECT revision FROM {sql.indexed("events", "changes_of_models")}
    WHERE project = :project AND model = :model AND {one_of("kind", OF_MODELS)}
    UNION SELECT revision FROM {sql.indexed("events", "kinds_of_models")}
    WHERE project = :project AND model = :model AND kind = '{Kind.ERASED}' AND {none_of("kind", sorted(COMMON))}
        AND number = 0
    ORDER BY revision
    """


@Statement
def revisions_of_actors(sql: Dialect) -> str:
    """Any event may be by the actor, since no index has actors: so many events of the log are searched at a time."""
    wanted = f"SELECT wanted.actor FROM {sql.keys('wanted', actor=Type.TEXT)}"
    return f"""
    SELECT revision FROM events
    WHERE project = :project AND revision > :after AND revision <= :until
        AND (actor IN ({wanted}) OR {sql.text("image", "creator")} IN ({wanted}))
    ORDER BY revision
    """


@Statement
def mark_erased(sql: Dialect) -> str:
    return f"""
    INSERT INTO erasures SELECT events.project, events.revision, :at, events.digest FROM rewritten
    {sql.join("events", "events.project = :project AND events.revision = rewritten.revision")}
    """


@Statement
def overwrite_events(_: Dialect) -> str:
    return """
    UPDATE events SET actor = new.actor, reason = new.reason, previous_name = new.previous_name, image = new.image,
        salt = new.salt, digest = new.digest, erased = :at
    FROM rewritten AS new WHERE events.project = :project AND events.revision = new.revision
    """


# A request's fingerprint is computed from the erased content too: whoever guesses the content could check the guess.
@Statement
def forget_fingerprints(_: Dialect) -> str:
    return """
    UPDATE receipts SET fingerprint = :nothing WHERE project = :project AND EXISTS (
        SELECT 1 FROM rewritten WHERE revision BETWEEN receipts.first_revision AND receipts.last_revision
    )
    """


@Statement
def image_of_version(sql: Dialect) -> str:
    return f"""
    SELECT events.image FROM versions
    {sql.join("events", "events.project = versions.project AND events.revision = versions.revision")}
    WHERE versions.project = :project AND versions.model = :model AND versions.number = :number AND versions.deleted < 2
    """


@Statement
def artifacts_of_version(sql: Dialect) -> str:
    return f"""
    SELECT artifacts.artifact, artifacts.ordinal, events.image FROM artifacts
    {sql.join("events", "events.project = artifacts.project AND events.revision = artifacts.start_revision")}
    WHERE artifacts.project = :project AND artifacts.model = :model AND artifacts.number = :number
    """


@Statement
def renames_of_models(sql: Dialect) -> str:
    return f"""
    SELECT project, previous_name, model FROM {sql.indexed("events", "last_model_renames")}
    WHERE project = :project AND revision > 0 AND kind = 'model_renamed' ORDER BY revision
    """


async def look(session: Session, project: int, state: State, what: Erasing) -> None:
    """Prepare the new rows of every event that has content to erase, and record in the state what was found.

    The session has an empty table `rewritten`.
    """
    try:
        subject = subject_of(state, what)
    except RegistryError:
        # The command is decided in its turn, unless the request was answered before.
        return
    eraser = Eraser(subject, what, state.revision + 1)
    contents, digest = 0, hashlib.sha256()
    async for events in _found(session, project, state, subject, what):
        rewritten = [after for event in events if (after := eraser.rewritten(event)) != event]
        rows = [_sealed(event, salt) for event, salt in zip(rewritten, salts(len(rewritten)), strict=True)]
        if rows:
            await session.insert(REWRITTEN, rows)
        contents += len(rows)
        for row in rows:
            digest.update(erasure_part(row[0], row[-1]))
    state.prospect = Prospect(
        subject=subject, contents=contents, by_path=tuple(eraser.by_path), digest=digest.hexdigest()
    )


async def overwrite(session: Session, project: int, erasure: Erasure, paths: Sequence[str]) -> None:
    """Overwrite what `look` has prepared, in the log and in the tables."""
    at = erasure.mod_revision
    await session.execute(mark_erased(project=project, at=at))
    await session.execute(overwrite_events(project=project, at=at))
    await session.execute(forget_fingerprints(project=project, nothing=b""))
    await forget_answers(session, project)
    heads = {path.partition(".")[0] for path in paths}
    if erasure.run is None and erasure.number:
        keys = [path.partition(".")[2] for path in paths if path.partition(".")[0] == "metadata"]
        await _in_version(session, (project, erasure.model_id, erasure.number), heads, keys)
    elif erasure.model_id and "previous_names" in heads:
        (renames,) = await session.fetch(renames_of_models(project=project))
        await session.remove(RENAMES, ("project",), [(project,)])
        # The last one counts.
        last = {name: (each, name, model) for each, name, model in renames}
        if last:
            await session.upsert(RENAMES, list(last.values()))


async def _found(
    session: Session, project: int, state: State, subject: Subject, what: Erasing
) -> AsyncIterator[list[Event]]:
    """Yield every event that may have content to erase, many at a time."""
    async for revisions in _revisions(session, project, state, subject, what):
        for begin in range(0, len(revisions), _STRETCH):
            wanted = parameter(revisions[begin : begin + _STRETCH])
            (rows,) = await session.fetch(events_at(project=project, wanted=wanted))
            yield [event_of(row) for row in rows]


async def _revisions(
    session: Session, project: int, state: State, subject: Subject, what: Erasing
) -> AsyncIterator[list[int]]:
    selects: list[Select]
    if subject.run is not None:
        selects = [revisions_of_run(project=project, run=subject.run)]
    elif subject.number:
        selects = [revisions_of_version(project=project, model=subject.model_id, number=subject.number)]
    elif subject.model_id:
        selects = [revisions_of_model(project=project, model=subject.model_id)]
    else:
        actors = parameter(path.partition(".")[2] for path in what.paths)
        selects = [
            revisions_of_actors(project=project, wanted=actors, after=after, until=after + _SEARCHED)
            for after in range(0, state.revision, _SEARCHED)
        ]
    for select in selects:
        (rows,) = await session.fetch(select)
        yield [revision for (revision,) in rows]


def _sealed(event: Event, salt: bytes) -> tuple[int, str, str, str, str, bytes, bytes]:
    """Return the row of `rewritten`. No digest covers the model and the number of an event."""
    image = encode(event.image)
    digest = digest_of(salt, row_of(event, 0, 0, image))
    return event.revision, event.actor, event.reason, event.previous_name, image, salt, digest


async def _in_version(session: Session, version: tuple[int, int, int], heads: set[str], keys: list[str]) -> None:
    """Update the tables to what is left of a version."""
    project, model, number = version
    if heads & {"metadata", "tags"}:
        (rows,) = await session.fetch(image_of_version(project=project, model=model, number=number))
        for (image,) in rows:
            await replace_facts(session, project, decode_version(image, ""))
    for table in (POINTS, PAST_POINTS) if keys else ():
        if "" in keys:
            await session.remove(table, _VERSION, [version])
        else:
            await session.remove(table, (*_VERSION, "metric"), [(*version, key) for key in keys])
    if "artifacts" in heads:
        (rows,) = await session.fetch(artifacts_of_version(project=project, model=model, number=number))
        found = [(name, ordinal, decode_artifact(image, "")) for name, ordinal, image in rows]
        changed = [
            (identity_key(artifact.uri), *version, name, ordinal)
            for name, ordinal, artifact in found
            if not artifact.digest
        ]
        if changed:
            await session.patch(ARTIFACTS, ("identity",), (*_VERSION, "artifact", "ordinal"), changed)
