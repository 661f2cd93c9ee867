"""Keeps beside the database where each log ends, so that a log that has lost its end is noticed at the next start.

SQLite treats a write-ahead log that is missing, cut or damaged as one that ends earlier. The server would continue from
there, and assign numbers again. The head is read from what is committed, and a commit is durable
before it can be read, so the head never claims what the database does not have.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from tallymark_server.storage.checkpoint import Mark
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.connection import connector
from tallymark_server.storage.sqlite.file_lock import exclusive
from tallymark_server.storage.sqlite.migrate import APPLICATION_ID

FORMAT = 1
# The pause after a head is written, in seconds, and as a multiple of how long that took: with very many projects it is
# written less often.
PAUSE, PAUSE_FACTOR = 0.25, 20
_HEADS = "SELECT name, log_id, revision, hash FROM projects"
_HEAD = "SELECT id, log_id, revision, hash FROM projects WHERE name = ?"
_HASH = "SELECT hash FROM events WHERE project = ? AND revision = ?"

_log = structlog.get_logger()


class Heads(NamedTuple):
    """The end of each project's log, and the schema of the database, because the hashes depend on it."""

    schema: int
    marks: dict[str, Mark]


def head_file(database: Path) -> Path:
    """Return the path of the file beside the database that keeps its heads."""
    database = database.resolve()
    return database.with_name(database.name + "-head")


def heads_of(connection: sqlite3.Connection) -> Heads:
    """Return the heads of what is committed."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    rows = connection.execute(_HEADS).fetchall()
    return Heads(schema, {name: Mark(log_id, revision, hash_.hex()) for name, log_id, revision, hash_ in rows})


def read(database: Path) -> Heads | None:
    """Return the heads that were kept; None if there are none, or if their file cannot be read."""
    path = head_file(database)
    try:
        kept = json.loads(path.read_bytes())
        if kept.pop("sha256") != _digest(kept) or kept["head"] != FORMAT:
            raise ValueError("it is damaged, or of another release")
        return Heads(kept["schema"], {project: Mark(**mark) for project, mark in kept["projects"].items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning(
            "cannot tell whether the log has lost its end",
            file=str(path),
            problem=getattr(error, "strerror", str(error)),
        )
        return None


def write(database: Path, heads: Heads) -> None:
    """Keep the heads, as a whole or not at all, and on the disk."""
    path = head_file(database)
    fresh = path.with_name(path.name + ".new")
    kept: dict[str, Any] = {
        "head": FORMAT,
        "schema": heads.schema,
        "projects": {project: mark._asdict() for project, mark in heads.marks.items()},
    }
    # As private as the database.
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, database.stat().st_mode & 0o777)
    try:
        content = json.dumps({**kept, "sha256": _digest(kept)}).encode() + b"\n"
        written = 0
        while written < len(content):
            written += os.pwrite(handle, content[written:], written)
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.rename(path)


def renew(database: Path) -> None:
    """Keep the heads of a database that no server holds. Raises CannotOpenError."""
    try:
        with closing(connector(database.resolve(), read_only=True)()) as connection:
            write(database, heads_of(connection))
    except (sqlite3.Error, OSError) as error:
        raise CannotOpenError(f"cannot write down where the logs of {database} end: {error}") from None


def losses(database: Path, kept: Heads | None) -> list[str]:
    """Return what the database has lost since the heads were kept, a clause for each project.

    Raises CannotOpenError and sqlite3.Error.
    """
    with _compared(database, kept) as found:
        return found


def warnings(database: Path, kept: Heads | None) -> list[str]:
    """Return a sentence for each project whose changes the database lacks; none if that cannot be read."""
    try:
        return [f"{database} lacks changes that were acknowledged: {clause}" for clause in losses(database, kept)]
    except (CannotOpenError, sqlite3.Error):
        return []


@contextmanager
def intact(database: Path) -> Iterator[None]:
    """Begin to read the database if nothing is lost. Nothing is written. Raises CannotOpenError with what is lost.

    The write-ahead log, if there is one, is read once for all who open the database meanwhile.
    """
    with _compared(database, read(database)) as lost:
        if lost:
            raise CannotOpenError(refusal(database, lost))
        yield


def accept(database: Path, agree: Callable[[list[str]], None]) -> bool:
    """Accept what the database has lost, and return whether it had lost anything.

    `agree` is called with the losses, and may raise. Raises CannotOpenError and sqlite3.Error.
    """
    with exclusive(database):
        if not (lost := losses(database, read(database))):
            return False
        agree(lost)
        if database.exists() and database.stat().st_size:
            renew(database)
        else:
            head_file(database).unlink()
        return True


def refusal(database: Path, lost: list[str]) -> str:
    """Return the message for a database that has lost changes."""
    return (
        f"{database} lacks changes that were acknowledged: {'; '.join(lost)}. Either the file beside it,"
        f" {database.name}-wal, was lost or damaged, or the database was replaced by an older one. Put back what was"
        " there; or, to go on without these changes, whose numbers will be given again: tallymark accept-lost-changes"
        f" --db {database}"
    )


@contextmanager
def _compared(database: Path, kept: Heads | None) -> Iterator[list[str]]:
    """Yield what is lost, and a connection that stays open during the block."""
    marks = {} if kept is None else {project: mark for project, mark in kept.marks.items() if mark.revision}
    if kept is None or not marks:
        yield []
        return
    with suppress(FileNotFoundError):
        if database.stat().st_size:
            with closing(connector(database.resolve(), read_only=True)()) as connection:
                yield _lost(connection, kept.schema, marks)
            return
    # SQLite would delete the write-ahead log of an empty database, so the database is not opened.
    what = "is empty" if database.exists() else "is missing"
    yield [f"the file {what}, and had {mark.revision:,} in project {project}" for project, mark in marks.items()]


def _lost(connection: sqlite3.Connection, schema: int, marks: dict[str, Mark]) -> list[str]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id not in (0, APPLICATION_ID):
        # Another program's database, which is refused as such.
        return []
    (found_schema,) = connection.execute("PRAGMA user_version").fetchone()
    if not found_schema:
        return [f"the file has no logs, and had {mark.revision:,} in project {name}" for name, mark in marks.items()]
    connection.execute("BEGIN")
    try:
        clauses = [_lost_of(connection, name, mark, same=schema == found_schema) for name, mark in marks.items()]
    finally:
        connection.execute("ROLLBACK")
    return [clause for clause in clauses if clause]


def _lost_of(connection: sqlite3.Connection, project: str, mark: Mark, *, same: bool) -> str:
    """Return what a project has lost, nothing if its log has the mark. Hashes are compared within the same schema."""
    row = connection.execute(_HEAD, (project,)).fetchone()
    if row is None:
        return f"project {project} is missing, and had {mark.revision:,}"
    number, log_id, revision, hash_ = row
    if same and log_id != mark.log_id:
        return f"project {project} is another one, with {revision:,}, and the one that was here had {mark.revision:,}"
    if revision < mark.revision:
        lost = mark.revision - revision
        missing = "1 is missing" if lost == 1 else f"{lost:,} are missing"
        return f"project {project} ends with revision {revision:,}, and had {mark.revision:,} ({missing})"
    if revision > mark.revision and same:
        ((hash_,),) = connection.execute(_HASH, (number, mark.revision)).fetchall() or [(b"",)]
    if same and hash_.hex() != mark.hash:
        return f"project {project} has another revision {mark.revision:,} than the one that was acknowledged"
    return ""


def _digest(kept: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


class HeadKeeper:
    """Writes the heads soon after each change, some times a second at most, and at the end."""

    def __init__(self, database: Path, heads: Callable[[], Awaitable[Heads]]) -> None:
        self._database = database
        self._heads = heads
        self._changed = asyncio.Event()
        self._changed.set()
        self._ended = asyncio.Event()
        self._kept: Heads | None = None
        self._failed = False

    def note_change(self) -> None:
        """Write soon: something may have been committed."""
        self._changed.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Keep the heads until the context is left."""
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._ended.set()
            self._changed.set()
            await task
            await self._keep()

    async def _work(self) -> None:
        while not self._ended.is_set():
            await self._changed.wait()
            self._changed.clear()
            begun = time.monotonic()
            await self._keep()
            pause = max(PAUSE, PAUSE_FACTOR * (time.monotonic() - begun))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), pause)

    async def _keep(self) -> None:
        try:
            heads = await self._heads()
            if heads != self._kept:
                await asyncio.to_thread(write, self._database, heads)
                self._kept = heads
        except (OSError, sqlite3.Error) as error:
            # What is kept is older than it might be, and still true.
            if not self._failed:
                await _log.awarning("cannot keep where the logs end", problem=str(error))
            self._failed = True
        else:
            self._failed = False
