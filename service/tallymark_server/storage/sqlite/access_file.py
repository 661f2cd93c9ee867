"""The store of access in a file of its own, `tallymark.access.db` beside `tallymark.db`.

Several processes may use it at the same time: each statement is a short transaction, and waits for others.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from tallymark_server.domain.errors import DataDamaged, StorageUnavailable
from tallymark_server.storage.access import Entry, RevisionTakenError, Session
from tallymark_server.storage.atomic_files import placed
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.connection import connector
from tallymark_server.storage.sqlite.engine_errors import ENVIRONMENT_ERRORS

T = TypeVar("T")
# Marks a file as one of access: "tmac" in ASCII.
APPLICATION_ID = 0x746D6163
SCHEMA = 1
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE log (id TEXT NOT NULL) STRICT;
CREATE TABLE events (
    revision INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, content TEXT NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE sessions (hash BLOB PRIMARY KEY, caller TEXT NOT NULL, expire_time INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_caller ON sessions (caller);
CREATE TABLE uses (token TEXT PRIMARY KEY, day INTEGER NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID:d};
PRAGMA user_version = {SCHEMA:d};
COMMIT;
"""
_EVENTS = "SELECT revision, time, actor, content, hash FROM events WHERE revision > ? ORDER BY revision"
_LAST = "SELECT coalesce(max(revision), 0) FROM events"
_APPEND = "INSERT INTO events (revision, time, actor, content, hash) VALUES (?, ?, ?, ?, ?)"
_PUT_SESSION = "INSERT OR REPLACE INTO sessions (hash, caller, expire_time) VALUES (?, ?, ?)"
_SESSION = "SELECT hash, caller, expire_time FROM sessions WHERE hash = ? AND expire_time > ?"
_NOTE_USE = """
INSERT INTO uses (token, day) VALUES (?, ?) ON CONFLICT (token) DO UPDATE SET day = max(day, excluded.day)
"""
_OTHERS = 0o007


def access_file(database: Path) -> Path:
    """Return the path of the file with the access to a database, beside it: `tallymark.access.db`."""
    database = database.resolve()
    return database.with_name(f"{database.stem}.access{database.suffix or '.db'}")


def create_access_file(path: Path, entries: Callable[[str], Iterable[Entry]]) -> None:
    """Create the file with the first entries, which `entries` makes for the id of the log; as a whole, or not at all.

    Raises CannotPlaceError if it exists, or cannot be written.
    """
    log_id = secrets.token_hex(16)
    with placed(path) as partial_file, closing(connector(partial_file.absolute(), read_only=False)()) as connection:
        connection.executescript(_TABLES)
        with _transaction(connection):
            connection.execute("INSERT INTO log (id) VALUES (?)", (log_id,))
            connection.executemany(_APPEND, entries(log_id))


def open_access_file(path: Path, *, read_only: bool = False) -> AccessFile:
    """Open the file. Raises CannotOpenError, which says what to do, unless it is one of access that can be read."""
    _check_mode(path)
    connection = None
    try:
        connection = connector(path.absolute(), read_only=read_only)()
        return AccessFile(path, connection, _log_id(connection, path))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        raise CannotOpenError(
            f"{path} cannot be read ({error}), and without it nobody can be told apart; restore it from a copy, or"
            f" remove it and make a new one: tallymark access init"
        ) from None
    except CannotOpenError:
        if connection is not None:
            connection.close()
        raise


def _check_mode(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CannotOpenError(f"cannot read {path}: {error.strerror}; make it with tallymark access init") from None
    if mode & _OTHERS:
        raise CannotOpenError(
            f"{path} decides who may do what, and every user of this machine can read or write it; run chmod 600 {path}"
        )


def _log_id(connection: sqlite3.Connection, path: Path) -> str:
    connection.execute("PRAGMA synchronous = EXTRA")
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise CannotOpenError(f"{path} is no file of access; name another with --access-db")
    if schema != SCHEMA:
        raise CannotOpenError(f"{path} has schema {schema}, and this program knows {SCHEMA}; use a newer release")
    (log_id,) = connection.execute("SELECT id FROM log").fetchone() or ("",)
    if not log_id:
        raise CannotOpenError(f"{path} has lost its log; restore it from a copy")
    return str(log_id)


class AccessFile:
    """The store on one connection, which one thread uses at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, log_id: str) -> None:
        self._path = path
        self._connection = connection
        self._log_id = log_id
        self._lock = threading.Lock()

    @property
    def log_id(self) -> str:
        return self._log_id

    async def read(self, after: int) -> list[Entry]:
        return await self._run(lambda connection: [Entry(*row) for row in connection.execute(_EVENTS, (after,))])

    async def append(self, expected_revision: int, entries: Sequence[Entry]) -> None:
        await self._run(partial(_append, expected_revision, entries))

    async def put_session(self, session: Session) -> None:
        await self._run(partial(_put_session, session))

    async def session(self, hash_: bytes, now: int) -> Session | None:
        row = await self._run(lambda connection: connection.execute(_SESSION, (hash_, now)).fetchone())
        return None if row is None else Session(*row)

    async def remove_session(self, hash_: bytes) -> None:
        await self._run(lambda connection: connection.execute("DELETE FROM sessions WHERE hash = ?", (hash_,)))

    async def remove_sessions(self, caller: str) -> None:
        await self._run(lambda connection: connection.execute("DELETE FROM sessions WHERE caller = ?", (caller,)))

    async def note_uses(self, days: Mapping[str, int]) -> None:
        await self._run(partial(_note_uses, dict(days)))

    async def last_uses(self) -> dict[str, int]:
        return await self._run(lambda connection: dict(connection.execute("SELECT token, day FROM uses").fetchall()))

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._connection.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.to_thread(self._in_turn, work)

    def _in_turn(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock, _translated(self._path):
            return work(self._connection)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _append(expected_revision: int, entries: Sequence[Entry], connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        (last,) = connection.execute(_LAST).fetchone()
        if last != expected_revision:
            raise RevisionTakenError
        connection.executemany(_APPEND, entries)


def _put_session(session: Session, connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        connection.execute("DELETE FROM sessions WHERE expire_time <= unixepoch() * 1000000")
        connection.execute(_PUT_SESSION, session)


def _note_uses(days: dict[str, int], connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        connection.executemany(_NOTE_USE, sorted(days.items()))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Translate the errors of SQLite to those of the contract."""
    try:
        yield
    except UnicodeDecodeError:
        raise DataDamaged(f"{path.name} has text that is none") from None
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in ENVIRONMENT_ERRORS:
            raise StorageUnavailable(f"{path.name}: {error}") from None
        raise DataDamaged(f"{path.name}: {error}") from None
