"""Erases content: looks for it in the log, and overwrites it there, in the tables, and in the bytes of the file."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import structlog

from tallymark_server.domain.commands import Erasing
from tallymark_server.domain.erasure import Eraser, subject_of
from tallymark_server.domain.errors import RegistryError, StorageUnavailable
from tallymark_server.domain.events import Event, Kind
from tallymark_server.domain.model import Erasure
from tallymark_server.domain.state import Prospect, State, Subject
from tallymark_server.storage.codec import decode_version, encode
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.chain import digest_of, salts
from tallymark_server.storage.log.event_rows import COMMON, OF_MODELS, RUN_CHANGES, event_of, row_of
from tallymark_server.storage.log.seals import erasure_part
from tallymark_server.storage.sql.event_columns import event_columns, listed, none_of, one_of
from tallymark_server.storage.sql.facts import replace_facts
from tallymark_server.storage.sql.receipts import forget_answers
from tallymark_server.storage.sqlite.dialect import DIALECT
from tallymark_server.storage.sqlite.session import SqliteSession

_STRETCH = 1000
_log = structlog.get_logger()
_SEARCHED = f"""
SELECT {event_columns(DIALECT)} FROM ({{revisions}}) AS found
CROSS JOIN events ON events.project = :project AND events.revision = found.revision
LEFT JOIN models ON models.project = events.project AND models.id = events.model
ORDER BY events.revision
"""
# Erasing events of a run are found by their kind; those of versions and models have their numbers.
OF_RUN = f"""
SELECT start_revision AS revision FROM runs WHERE project = :project AND id = :run
UNION SELECT revision FROM events INDEXED BY changes_of_runs
    WHERE project = :project AND json_extract(image, '$.id') = :run AND {one_of("kind", RUN_CHANGES)}
UNION SELECT start_revision FROM run_steps WHERE project = :project AND run = :run
UNION SELECT revision FROM run_steps WHERE project = :project AND run = :run
UNION SELECT revision FROM events INDEXED BY kinds_of_projects WHERE project = :project AND kind = '{Kind.ERASED}'
    AND {none_of("kind", sorted(COMMON))} AND json_extract(image, '$.run') = :run
"""
OF_VERSION = f"""
SELECT revision FROM events INDEXED BY events_of_versions
WHERE project = :project AND model = :model AND number = :number AND kind NOT IN ({listed(OF_MODELS)})
"""
OF_MODEL = f"""
SELECT revision FROM events INDEXED BY changes_of_models
WHERE project = :project AND model = :model AND {one_of("kind", OF_MODELS)}
UNION SELECT revision FROM events INDEXED BY kinds_of_models
WHERE project = :project AND model = :model AND kind = '{Kind.ERASED}' AND {none_of("kind", sorted(COMMON))}
    AND number = 0
"""
# Any event may be by the actor: no index has actors.
_OF_ACTORS = """
SELECT revision FROM events WHERE project = :project AND (
    actor IN (SELECT value FROM json_each(:actors))
    OR json_extract(image, '$.creator') IN (SELECT value FROM json_each(:actors))
)
"""
_TABLE = """
CREATE TEMP TABLE rewritten (
    revision INTEGER PRIMARY KEY, actor TEXT, reason TEXT, previous_name TEXT, image TEXT, salt BLOB, digest BLOB
)
"""
_MARK = """
INSERT INTO erasures SELECT events.project, events.revision, :at, events.digest FROM temp.rewritten
CROSS JOIN events ON events.project = :project AND events.revision = rewritten.revision
"""
_OVERWRITE = """
UPDATE events SET actor = new.actor, reason = new.reason, previous_name = new.previous_name, image = new.image,
    salt = new.salt, digest = new.digest, erased = :at
FROM temp.rewritten AS new WHERE events.project = :project AND events.revision = new.revision
"""
# A request's fingerprint is computed from the erased content too: whoever guesses the content could check the guess.
_FORGET_FINGERPRINTS = """
UPDATE receipts SET fingerprint = x'' WHERE project = :project AND EXISTS (
    SELECT 1 FROM temp.rewritten WHERE revision BETWEEN receipts.first_revision AND receipts.last_revision
)
"""
_OWN_IMAGE = """
SELECT events.image FROM versions CROSS JOIN events
    ON events.project = versions.project AND events.revision = versions.revision
WHERE versions.project = :project AND versions.model = :model AND versions.number = :number AND versions.deleted < 2
"""
_IDENTIFY = """
UPDATE artifacts SET identity = identity_key(json_extract(events.image, '$.uri')) FROM events
WHERE artifacts.project = :project AND artifacts.model = :model AND artifacts.number = :number
    AND events.project = artifacts.project AND events.revision = artifacts.start_revision
    AND json_extract(events.image, '$.digest') IS NULL
"""
_RENAMES = """
INSERT OR REPLACE INTO renames SELECT project, previous_name, model FROM events
WHERE project = :project AND kind = 'model_renamed' ORDER BY revision
"""


def look(connection: sqlite3.Connection, project: int, state: State, what: Erasing) -> None:
    """Prepare the new rows of every event that has content to erase, and record in the state what was found."""
    connection.execute("DROP TABLE IF EXISTS temp.rewritten")
    connection.execute(_TABLE)
    try:
        subject = subject_of(state, what)
    except RegistryError:
        # The command is decided in its turn, unless the request was answered before.
        return
    eraser = Eraser(subject, what, state.revision + 1)
    contents, digest = 0, hashlib.sha256()
    rewritten = _rewritten(eraser, _found(connection, project, subject, what))
    while stretch := list(islice(rewritten, _STRETCH)):
        rows = [_sealed(event, salt) for event, salt in zip(stretch, salts(len(stretch)), strict=True)]
        connection.executemany("INSERT INTO temp.rewritten VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        contents += len(rows)
        for row in rows:
            digest.update(erasure_part(row[0], row[-1]))
    state.prospect = Prospect(
        subject=subject, contents=contents, by_path=tuple(eraser.by_path), digest=digest.hexdigest()
    )


def overwrite(connection: sqlite3.Connection, project: int, erasure: Erasure, paths: Sequence[str]) -> None:
    """Overwrite what `look` has prepared, in the log and in the tables, and note that the file must be scrubbed."""
    given = {"project": project, "at": erasure.mod_revision, "model": erasure.model_id, "number": erasure.number}
    connection.execute(_MARK, given)
    connection.execute(_OVERWRITE, given)
    connection.execute(_FORGET_FINGERPRINTS, given)
    run_immediately(forget_answers(SqliteSession(connection), project))
    connection.execute("DROP TABLE temp.rewritten")
    heads = {path.partition(".")[0] for path in paths}
    if erasure.run is None and erasure.number:
        keys = [path.partition(".")[2] for path in paths if path.partition(".")[0] == "metadata"]
        _in_version(connection, given, heads, keys)
    elif erasure.model_id and "previous_names" in heads:
        connection.execute("DELETE FROM renames WHERE project = :project", given)
        connection.execute(_RENAMES, given)
    connection.execute("INSERT INTO unscrubbed VALUES (:at)", given)


def scrub(connection: sqlite3.Connection) -> None:
    """Rewrite the file, so that nothing that was overwritten is left in its free space or beside it.

    Raises StorageUnavailable when a reader of an older state does not end soon; no response has what was erased.
    """
    connection.execute("PRAGMA busy_timeout = 5000")
    try:
        connection.execute("VACUUM")
        ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise StorageUnavailable(
                "what was erased is gone from every answer, and not yet from the bytes of the file, which a backup or a"
                " proof still reads; repeat the request with its request_id, or start the server again"
            )
        connection.execute("DELETE FROM unscrubbed")
    finally:
        connection.execute("PRAGMA busy_timeout = 0")


def scrub_if_possible(connection: sqlite3.Connection, path: Path) -> None:
    """Rewrite the file if that was interrupted after an erasure; continue without it if the disk has no room."""
    if must_scrub(connection):
        try:
            scrub(connection)
        except (sqlite3.Error, StorageUnavailable) as error:
            _log.warning("what was erased may still be in the bytes of the file", file=str(path), problem=str(error))


def must_scrub(connection: sqlite3.Connection) -> bool:
    """Return whether something was erased, and the file was not rewritten since."""
    return connection.execute("SELECT 1 FROM unscrubbed LIMIT 1").fetchone() is not None


def _found(connection: sqlite3.Connection, project: int, subject: Subject, what: Erasing) -> Iterator[Event]:
    """Yield every event that may have content to erase."""
    given: dict[str, Any] = {"project": project, "model": subject.model_id, "number": subject.number}
    if subject.run is not None:
        sql, given["run"] = OF_RUN, subject.run
    elif subject.number:
        sql = OF_VERSION
    elif subject.model_id:
        sql = OF_MODEL
    else:
        sql, given["actors"] = _OF_ACTORS, _json([path.partition(".")[2] for path in what.paths])
    for row in connection.execute(_SEARCHED.format(revisions=sql), given):
        yield event_of(row)


def _rewritten(eraser: Eraser, found: Iterable[Event]) -> Iterator[Event]:
    """Yield those of the events that change, with their new content."""
    for event in found:
        after = eraser.rewritten(event)
        if after != event:
            yield after


def _sealed(event: Event, salt: bytes) -> tuple[Any, ...]:
    """Return the row of `rewritten`. No digest covers the model and the number of an event."""
    image = encode(event.image)
    digest = digest_of(salt, row_of(event, 0, 0, image))
    return event.revision, event.actor, event.reason, event.previous_name, image, salt, digest


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _in_version(connection: sqlite3.Connection, given: dict[str, int], heads: set[str], keys: list[str]) -> None:
    """Update the tables to what is left of a version."""
    if heads & {"metadata", "tags"}:
        for (image,) in connection.execute(_OWN_IMAGE, given).fetchall():
            run_immediately(replace_facts(SqliteSession(connection), given["project"], decode_version(image, "")))
    for table in ("points", "past_points") if keys else ():
        named = "TRUE" if "" in keys else "metric IN (SELECT value FROM json_each(:keys))"
        connection.execute(
            f"DELETE FROM {table} WHERE project = :project AND model = :model AND number = :number AND {named}",
            {**given, "keys": _json(keys)},
        )
    if "artifacts" in heads:
        connection.execute(_IDENTIFY, given)
