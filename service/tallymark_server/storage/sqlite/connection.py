"""Connects to a file, which is created for its owner alone if it does not exist."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tallymark_server.storage.atomic_files import create_private
from tallymark_server.storage.contract import CannotOpenError
from tallymark_server.storage.sqlite.event_integrity import add_whole

_CACHED_STATEMENTS = 256
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


def connector(path: Path, *, read_only: bool) -> Callable[[], sqlite3.Connection]:
    """Return a function that connects to the file."""

    def connect() -> sqlite3.Connection:
        if not read_only:
            # The files that SQLite creates beside it get the same mode. If the folder is wrong, SQLite says how.
            with suppress(OSError):
                create_private(path)
        connection = sqlite3.connect(
            read_only_uri(path) if read_only else f"{path.as_uri()}?mode=rwc",
            uri=True,
            isolation_level=None,
            cached_statements=_CACHED_STATEMENTS,
            check_same_thread=False,
        )
        connection.execute("PRAGMA busy_timeout = 5000")
        add_whole(connection)
        return connection

    return connect


def read_only_uri(path: Path) -> str:
    """Return the URI that opens a file read-only, even in a folder that cannot be written. Raises CannotOpenError."""
    path = path.absolute()
    wal, journal, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal", "-shm"))
    if os.access(path.resolve().parent, os.W_OK) or index.exists():
        return f"{path.as_uri()}?mode=ro"
    for beside in (wal, journal):
        if beside.exists() and beside.stat().st_size:
            raise CannotOpenError(
                f"{path} cannot be read without {beside.name}, and that needs a folder that can be written: copy both"
                " to one, and name the copy with --db"
            )
    # Without this SQLite would make its files beside it first, though nobody can write to the database anyway.
    return f"{path.as_uri()}?immutable=1"


def unreadable(path: Path, error: sqlite3.DatabaseError) -> CannotOpenError:
    """Return the message for a file that cannot be read: only for a damaged one it suggests a backup."""
    damaged = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _DAMAGED
    advice = "restore a backup" if damaged else "make sure that the file and its folder can be read"
    return CannotOpenError(f"cannot read {path}: {error}; {advice}")
