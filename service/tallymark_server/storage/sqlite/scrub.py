"""Overwrites what was erased also in the bytes of the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import structlog

from tallymark_server.domain.errors import StorageUnavailable

_log = structlog.get_logger()
_REWRITTEN = """
CREATE TEMP TABLE rewritten (
    revision INTEGER PRIMARY KEY, actor TEXT, reason TEXT, previous_name TEXT, image TEXT, salt BLOB, digest BLOB
)
"""


def begin_rewriting(connection: sqlite3.Connection) -> None:
    """Create an empty table for the new rows of the events that have content to erase."""
    end_rewriting(connection)
    connection.execute(_REWRITTEN)


def end_rewriting(connection: sqlite3.Connection) -> None:
    """Remove that table."""
    connection.execute("DROP TABLE IF EXISTS temp.rewritten")


def note_erased(connection: sqlite3.Connection, revision: int) -> None:
    """Note that the file must be scrubbed, since the event of this revision has erased something."""
    connection.execute("INSERT INTO unscrubbed VALUES (?)", (revision,))


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
