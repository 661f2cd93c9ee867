"""Verifies a file: replays the log into fresh tables, compares them with the file's, and checks the chain of hashes."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tallymark_server.domain.errors import fitting
from tallymark_server.storage.checkpoint import Mark, shown
from tallymark_server.storage.contract import CannotOpenError, Problem, Proof
from tallymark_server.storage.immediate import run_immediately
from tallymark_server.storage.log.replay import Replay
from tallymark_server.storage.log.seals import Seal, parse_marks
from tallymark_server.storage.sql.erasures import erased, erasure_problems, marks
from tallymark_server.storage.sql.event_columns import columns_with
from tallymark_server.storage.sql.tables import PROJECTION
from tallymark_server.storage.sqlite import head_file
from tallymark_server.storage.sqlite.backup import of_this_schema
from tallymark_server.storage.sqlite.connection import read_only_uri, unreadable
from tallymark_server.storage.sqlite.dialect import SqliteDialect
from tallymark_server.storage.sqlite.file_lock import check_one_name
from tallymark_server.storage.sqlite.migrate import migrate
from tallymark_server.storage.sqlite.offline_access import check_schema
from tallymark_server.storage.sqlite.session import SqliteSession, project_one

_STRETCH = 1000
# The file that is verified is attached to fresh tables.
_FOUND = SqliteDialect("found")
_SHOWN = 20
_PROJECTS = "SELECT id, name, log_id, revision, time, last_model_id, hash FROM found.projects ORDER BY id"
# The model's name is that of the replayed table: the file's own is still to be proved.
_EVENTS = f"""
SELECT events.salt, events.digest, events.hash, {marks(_FOUND)}, events.model,
    {columns_with("events.image")}
FROM found.events AS events
LEFT JOIN main.models ON models.project = events.project AND models.id = events.model
WHERE events.project = ? AND events.revision > ? ORDER BY events.revision LIMIT {_STRETCH}
"""
_BROKEN_RECEIPTS = """
SELECT request_id FROM found.receipts
WHERE project = ? AND NOT (first_revision BETWEEN 1 AND last_revision AND last_revision <= ?)
"""
# An event is the effect of one request at most.
_SHARED_EFFECTS = """
SELECT request_id FROM (
    SELECT request_id, first_revision,
        max(last_revision) OVER (ORDER BY first_revision ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS taken
    FROM found.receipts WHERE project = ?
) WHERE first_revision <= taken
"""
_SCHEMA = "SELECT type, name, sql FROM {}.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_FIRST_EVENTS = "SELECT project, revision FROM found.events WHERE project > ? ORDER BY project, revision LIMIT 1"
_EARLY_EVENTS = f"SELECT revision FROM found.events WHERE project = ? AND revision < 1 ORDER BY revision LIMIT {_SHOWN}"


@dataclass
class FileProof:
    """What was verified. `marks` has the end of each project's log, with the hash that identifies the log later.

    `erased` has, for each project, the number of events whose content was erased, and the events that erased it; `lost`
    has the problems that are changes that the file lacks.
    """

    events: int
    marks: dict[str, Mark]
    problems: list[Problem]
    erased: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    lost: list[Problem] = field(default_factory=list)


class _Project(NamedTuple):
    id: int
    name: str
    log_id: str
    revision: int
    time: int
    last_model_id: int
    hash: bytes


def verify(path: Path, checkpoint: Mapping[str, Mark] | None = None) -> FileProof:
    """Verify a file and the marks of a checkpoint, even while a server writes to it. Raises CannotOpenError.

    For the file of an earlier release a migrated copy is verified: the migration follows the chain of hashes too.
    """
    # Read first: meanwhile a server may write on.
    kept = head_file.read(path)
    with of_this_schema(path) as proved, _beside(proved) as scratch:
        scratch.execute("BEGIN")
        proof = _prove(scratch, checkpoint or {})
        proof.lost = [Problem("file", f"changes are lost: {clause}") for clause in head_file.losses(path, kept)]
        proof.problems[:0] = proof.lost
        return proof


def verify_project(path: Path, name: str, mark: Mark | None, most: int, longest: int) -> Proof:
    """Return the proof of one project of a served file, with so many problems of so many bytes.

    Raises CannotOpenError.
    """
    with _beside(path) as scratch:
        project = _project(scratch, name)
        replay = Replay(project.name, project.log_id, partial(project_one, SqliteSession(scratch), project.id))
        count, told = 0, []
        for count, problem in enumerate(_readable(_project_problems(scratch, project, replay, mark)), 1):
            if count <= most:
                told.append(Problem(*(fitting(text, longest) for text in problem)))
        stood = Mark(project.log_id, replay.revision, shown(replay.hash))
        contents, by = run_immediately(erased(SqliteSession(scratch, _FOUND), project.id))
        return Proof(replay.revision, stood, count, told, contents, by[:most])


def _readable(problems: Iterator[Problem]) -> Iterator[Problem]:
    """Yield the problems, and as the last one that the file cannot be read further, if it is so damaged."""
    try:
        yield from problems
    except sqlite3.DatabaseError as error:
        # Invalid text has no code; errors with another code are of the environment, and are raised.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        yield Problem("file", f"it cannot be read: {error}")


@contextmanager
def _beside(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection with fresh tables, and those of the file as `found`. Raises CannotOpenError."""
    if not path.is_file():
        raise CannotOpenError(f"there is no file {path}; name one with --db")
    check_one_name(path)
    with closing(sqlite3.connect("", isolation_level=None, uri=True)) as scratch:
        try:
            _check(path)
            migrate(scratch, "the scratch database")
            scratch.execute("ATTACH ? AS found", (read_only_uri(path),))
            yield scratch
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                # What is read is not written to.
                raise CannotOpenError(
                    f"cannot prove {path}: what is replayed has no room among the temporary files; make room there,"
                    " or name another folder by SQLITE_TMPDIR"
                ) from None
            raise unreadable(path, error) from None


def _check(path: Path) -> None:
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as found:
        check_schema(found, path)


def _prove(scratch: sqlite3.Connection, checkpoint: Mapping[str, Mark]) -> FileProof:
    proof = FileProof(0, {}, [*_file_problems(scratch), *_stray_events(scratch)])
    for row in scratch.execute(_PROJECTS).fetchall():
        project = _Project(*row)
        replay = Replay(project.name, project.log_id, partial(project_one, SqliteSession(scratch), project.id))
        mark = checkpoint.get(project.name)
        proof.problems += _log_problems(scratch, project, replay, mark)
        proof.problems += _against_receipts(scratch, project)
        proof.events += replay.revision
        proof.erased[project.name] = run_immediately(erased(SqliteSession(scratch, _FOUND), project.id))
        proof.marks[project.name] = Mark(project.log_id, replay.revision, shown(replay.hash))
    for name in checkpoint.keys() - proof.marks.keys():
        proof.problems.append(Problem(f"project {name}", "the checkpoint has it, and the file has not"))
    for table in PROJECTION:
        proof.problems += _against_table(scratch, table.name)
    return proof


def _project(scratch: sqlite3.Connection, name: str) -> _Project:
    for row in scratch.execute(_PROJECTS):
        if row[1] == name:
            return _Project(*row)
    raise CannotOpenError(f"there is no project {name} in the file")


def _project_problems(
    scratch: sqlite3.Connection, project: _Project, replay: Replay, mark: Mark | None
) -> Iterator[Problem]:
    """Yield everything that is wrong with the project, and with its file."""
    yield from _file_problems(scratch)
    for (revision,) in scratch.execute(_EARLY_EVENTS, (project.id,)).fetchall():
        yield Problem(f"project {project.name}, revision {revision}", "it belongs to no log")
    before = -1
    while before < replay.revision < project.revision:
        # While a transaction reads, the server cannot move what it has written since out of the write-ahead log.
        scratch.execute("BEGIN")
        before = replay.revision
        yield from _event_problems(scratch, project, replay, mark)
        scratch.execute("COMMIT")
    scratch.execute("BEGIN")
    project = _project(scratch, project.name)
    yield from _log_problems(scratch, project, replay, mark)
    yield from _against_receipts(scratch, project)
    for table in PROJECTION:
        yield from _against_table(scratch, table.name, project.id)


def _file_problems(scratch: sqlite3.Connection) -> Iterator[Problem]:
    """Yield what is wrong with the pages, the indexes and the tables as such."""
    for (text,) in scratch.execute(f"PRAGMA found.integrity_check({_SHOWN})"):
        if text != "ok":
            yield Problem("file", text.replace("\n", " "))
    theirs, ours = (set(scratch.execute(_SCHEMA.format(each))) for each in ("found", "main"))
    for kind, name, _ in sorted(theirs ^ ours):
        yield Problem(f"{kind} {name}", "is not as this program makes it")


def _stray_events(scratch: sqlite3.Connection) -> Iterator[Problem]:
    """Yield events that belong to no log."""
    known = {project for (project,) in scratch.execute("SELECT id FROM found.projects")}
    project = -sys.maxsize - 1
    while row := scratch.execute(_FIRST_EVENTS, (project,)).fetchone():
        project, revision = row
        if project not in known or revision < 1:
            yield Problem(f"table events, project {project}, revision {revision}", "it belongs to no log")


def _log_problems(
    scratch: sqlite3.Connection, project: _Project, replay: Replay, mark: Mark | None
) -> Iterator[Problem]:
    """Yield everything that is wrong with the log, in its order."""
    where = f"project {project.name}"
    if mark and mark.log_id != project.log_id:
        yield Problem(where, f"it is another log than that of the checkpoint: {project.log_id}, not {mark.log_id}")
    before = -1
    while replay.revision > before:
        before = replay.revision
        yield from _event_problems(scratch, project, replay, mark)
    if mark and replay.revision < mark.revision:
        yield Problem(where, f"it ends with revision {replay.revision}, and the checkpoint has seen {mark.revision}")
    yield from run_immediately(erasure_problems(SqliteSession(scratch, _FOUND), project.id, project.name))
    told = (replay.revision, replay.time, replay.last_model_id, replay.hash)
    if (project.revision, project.time, project.last_model_id, project.hash) != told:
        yield Problem(where, "its head is not the last event of its log")


def _event_problems(
    scratch: sqlite3.Connection, project: _Project, replay: Replay, mark: Mark | None
) -> Iterator[Problem]:
    """Yield everything that is wrong with the next events of the log, in its order."""
    rows = scratch.execute(_EVENTS, (project.id, replay.revision)).fetchall()
    for salt, digest, found_hash, found_marks, model, *columns in rows:
        seal = Seal(salt, digest, found_hash, parse_marks(found_marks))
        yield from run_immediately(replay.event(columns, model, seal))
        if mark and replay.revision == mark.revision and shown(replay.hash) != mark.hash:
            where = f"project {project.name}, revision {mark.revision}"
            yield Problem(where, "up to here it is not what the checkpoint has seen")


def _against_table(scratch: sqlite3.Connection, table: str, project: int | None = None) -> Iterator[Problem]:
    whose = "TRUE" if project is None else f"project = {project:d}"
    for one, other, what in (("found", "main", "has, and the log does not tell"), ("main", "found", "lacks")):
        rows = scratch.execute(
            f"SELECT * FROM {one}.{table} WHERE {whose} EXCEPT SELECT * FROM {other}.{table} WHERE {whose}"
            f" LIMIT {_SHOWN}"
        )
        for row in rows:
            yield Problem(f"table {table}", f"{what}: {row}")


def _against_receipts(scratch: sqlite3.Connection, project: _Project) -> Iterator[Problem]:
    for (request_id,) in scratch.execute(_BROKEN_RECEIPTS, (project.id, project.revision)):
        yield Problem(f"project {project.name}, request {request_id}", "its effect is not in the log")
    for (request_id,) in scratch.execute(_SHARED_EFFECTS, (project.id,)):
        yield Problem(f"project {project.name}, request {request_id}", "its effect is that of another request")
